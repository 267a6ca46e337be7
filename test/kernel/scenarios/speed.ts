import { runCommand } from "../guest/command.ts";
import { DISK_SIZE_BYTES } from "../guest/contract.ts";
import { SECTOR_SIZE_BYTES } from "../guest/disk.ts";
import type { Lab } from "../guest/lab.ts";
import { MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const RUN_TIME_S = 3;
const WRITERS = [1, 4];

/** Regions of 512 KiB as lvm2 makes them by default, in sync from the start: no resync is measured. */
const COMMON: MirrorOptions = {
  ...MIRROR,
  sizeSectors: DISK_SIZE_BYTES / SECTOR_SIZE_BYTES,
  regionSizeSectors: 1024,
  sync: "nosync",
};

/** The first is the yardstick. */
const RIVALS: Record<string, MirrorOptions> = {
  "kernel core": { ...COMMON, logType: "kernel core" },
  "clustered-core": COMMON,
  "clustered-core, integrated_flush": { ...COMMON, integratedFlush: true },
};

const NOT_CHECKED = Buffer.alloc(0);

interface FioOutput {
  jobs: { error: number; write: { iops: number } }[];
}

async function measureIops(path: string, writers: number): Promise<number> {
  const text = await runCommand("fio", [
    "--name=iops",
    `--filename=${path}`,
    "--rw=randwrite",
    "--bs=4k",
    "--direct=1",
    "--ioengine=psync",
    "--thread",
    `--numjobs=${writers}`,
    "--group_reporting",
    "--time_based",
    `--runtime=${RUN_TIME_S}`,
    "--randseed=1",
    "--output-format=json",
  ]);
  const [job] = (JSON.parse(text) as FioOutput).jobs;
  if (job?.error !== 0 || job.write.iops === 0) throw new Error(`fio measured nothing: ${text}`);
  return job.write.iops;
}

async function compare(lab: Lab): Promise<void> {
  await lab.server.start();
  // The disks are sparse files: who writes first would pay for all.
  const sizeMiB = DISK_SIZE_BYTES / 1024 / 1024;
  for (const leg of COMMON.legs) {
    await runCommand("dd", ["if=/dev/zero", `of=${leg}`, "bs=1M", `count=${sizeMiB}`, "oflag=direct"]);
  }
  const yardsticks: number[] = [];
  lab.note(["4 KiB random direct writes".padEnd(34), ...WRITERS.map((n) => `${n} at a time`.padStart(20))].join(""));
  for (const [name, options] of Object.entries(RIVALS)) {
    const mirror = await lab.makeMirror(options, NOT_CHECKED);
    const cells: string[] = [];
    for (const [column, writers] of WRITERS.entries()) {
      const iops = await measureIops(mirror.path, writers);
      yardsticks[column] ??= iops;
      const ratio = iops / (yardsticks[column] ?? iops);
      cells.push(`${iops.toFixed(0)} IOPS  ${ratio.toFixed(2)}`.padStart(20));
    }
    lab.note([name.padEnd(34), ...cells].join(""));
    await mirror.remove();
  }
}

const iops: Scenario = {
  name: "iops",
  sentence: "For information: IOPS on the kernel's core log and on ours, in one boot, with the ratio to the kernel's.",
  timeLimitMs: 120_000,
  run: compare,
};

export const speedScenarios = [iops];
