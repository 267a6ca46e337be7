/** A log device that takes its time: what a write costs whose region is not marked yet, and what marks ahead save. */
import assert from "node:assert/strict";
import { runCommand } from "../guest/command.ts";
import { DISK_SIZE_BYTES, DISKS } from "../guest/contract.ts";
import { SECTOR_SIZE_BYTES } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import { type FioJob, measureIops } from "../guest/fio.ts";
import type { Lab } from "../guest/lab.ts";
import { MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const LOG_WRITE_MS = 5;
const LOG_SECTORS = 2048;
const RUN_TIME_MS = 2000;
const WRITE_SECTORS = 8;
/** What marks ahead are for: so much more. */
const FASTER_MIN = 4;
const NAME_WIDTH = 32;
const CELL_WIDTH = 14;
const NOT_CHECKED = Buffer.alloc(0);

async function measure(lab: Lab, options: MirrorOptions): Promise<{ random: number; sequential: number }> {
  const mirror = await lab.makeMirror(options, NOT_CHECKED);
  const job: FioJob = { path: mirror.path, kind: "write", count: 1 };
  const [sequential = 0, random = 0] = await measureIops([{ ...job, isSequential: true }, job], RUN_TIME_MS);
  await mirror.remove();
  return { random, sequential };
}

const slowLogDevice: Scenario = {
  name: "slow-log-device",
  sentence: `A log device whose writes take ${LOG_WRITE_MS} ms, and each write in a region of its own: what marks ahead save, beside the kernel's log.`,
  timeLimitMs: 120_000,
  isAlone: true,
  hostsOnly: "the option for marks ahead",
  async run(lab) {
    for (const leg of MIRROR.legs) {
      await runCommand("dd", ["if=/dev/zero", `of=${leg}`, "bs=1M", `count=${DISK_SIZE_BYTES >> 20}`, "oflag=direct"]);
    }
    const logDevice = await lab.dm.create("slow-log", legTable.delayed(DISKS[3], LOG_SECTORS, LOG_WRITE_MS));
    const options: MirrorOptions = {
      ...MIRROR,
      sizeSectors: DISK_SIZE_BYTES / SECTOR_SIZE_BYTES,
      regionSizeSectors: WRITE_SECTORS,
      logType: "clustered-disk",
      logDevice,
      integratedFlush: true,
      sync: "nosync",
    };
    const { integratedFlush: _, ...kernels } = options;
    const rows = [{ name: "kernel disk", ...(await measure(lab, { ...kernels, logType: "kernel disk" })) }];
    for (const ahead of [0, 64]) {
      await lab.server.start({ words: ["--mark-ahead", String(ahead)] });
      rows.push({ name: `${ahead} regions ahead`, ...(await measure(lab, options)) });
      await lab.server.stop();
    }
    const row = (...cells: string[]) =>
      lab.note(cells.map((cell, i) => (i === 0 ? cell.padEnd(NAME_WIDTH) : cell.padStart(CELL_WIDTH))).join(""));
    row("4 KiB direct IOPS, 1 writer", "random", "sequential");
    for (const { name, random, sequential } of rows) row(name, random.toFixed(0), sequential.toFixed(0));
    const [, without, ahead] = rows.map(({ sequential }) => sequential) as [number, number, number];
    assert(
      ahead >= without * FASTER_MIN,
      `marks ahead make a sequential writer ${(ahead / without).toFixed(1)} times as fast`,
    );
  },
};

export const slowLogScenarios = [slowLogDevice];
