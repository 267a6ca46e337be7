import { runCommand } from "./command.ts";

/** 4 KiB each, past the page cache. */
export interface FioJob {
  path: string;
  kind: "write" | "read";
  /** At random places, or one behind the other. */
  isSequential?: boolean;
  /** How many do so at a time, each waiting for its own. */
  count: number;
}

interface FioOutput {
  jobs: { error: number; write: { iops: number }; read: { iops: number } }[];
}

const TIME_LIMIT_MS = 120_000;

/** The IOPS of each job, one job after the other. All are one process, since to start one takes as long as a short job. */
export async function measureIops(jobs: readonly FioJob[], runTimeMs: number): Promise<number[]> {
  const common = [
    "--bs=4k",
    "--direct=1",
    "--ioengine=psync",
    "--thread",
    "--group_reporting",
    "--time_based",
    `--runtime=${runTimeMs}ms`,
    "--randseed=1",
    "--output-format=json",
  ];
  const each = jobs.flatMap(({ path, kind, count, isSequential }, i) => [
    `--name=${i}`,
    "--stonewall",
    "--new_group",
    `--filename=${path}`,
    `--rw=${isSequential ? kind : `rand${kind}`}`,
    `--numjobs=${count}`,
  ]);
  const text = await runCommand("fio", [...common, ...each], TIME_LIMIT_MS);
  const { jobs: groups } = JSON.parse(text) as FioOutput;
  return jobs.map(({ kind }, i) => {
    const group = groups[i];
    if (groups.length !== jobs.length || group?.error !== 0 || group[kind].iops === 0) {
      throw new Error(`fio measured nothing: ${text}`);
    }
    return group[kind].iops;
  });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low = Number.NaN, high = Number.NaN] = [sorted[(values.length - 1) >>> 1], sorted[values.length >>> 1]];
  return (low + high) / 2;
}
