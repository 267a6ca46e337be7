import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { runCommand } from "../guest/command.ts";
import { DISK_SIZE_BYTES, DISKS, SERVER_KINDS, type ServerKind } from "../guest/contract.ts";
import { SECTOR_SIZE_BYTES } from "../guest/disk.ts";
import { type FioJob, measureIops, median } from "../guest/fio.ts";
import type { Lab } from "../guest/lab.ts";
import { MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const RUN_TIME_MS = 1000;
/** The rivals take turns, since a machine does not stay as fast as it was; the medians of the rounds are shown. */
const ROUNDS = 4;
const WRITERS = [1, 4];
const NAME_WIDTH = 40;
const CELL_WIDTH = 20;

/** Regions of 512 KiB as lvm2 makes them by default, in sync from the start: no resync is measured. */
const CORE: MirrorOptions = {
  ...MIRROR,
  sizeSectors: DISK_SIZE_BYTES / SECTOR_SIZE_BYTES,
  regionSizeSectors: 1024,
  sync: "nosync",
};
const DISK: MirrorOptions = { ...CORE, logType: "clustered-disk", logDevice: DISKS[3] };

/** The others are compared with the kernel's own logs. */
const KERNEL_CORE = "kernel core";
const KERNEL_DISK = "kernel disk";
const YARDSTICKS: Record<string, MirrorOptions> = {
  [KERNEL_CORE]: { ...CORE, logType: KERNEL_CORE },
  [KERNEL_DISK]: { ...DISK, logType: KERNEL_DISK },
};
const SERVED: { name: string; yardstick: string; options: MirrorOptions }[] = [
  { name: "clustered-core", yardstick: KERNEL_CORE, options: CORE },
  {
    name: "clustered-core, integrated_flush",
    yardstick: KERNEL_CORE,
    options: { ...CORE, integratedFlush: true },
  },
  { name: "clustered-disk", yardstick: KERNEL_DISK, options: DISK },
];
/** The floor has marks with the flush, as this one. */
const FLOORED = "clustered-core, integrated_flush";
const SERVER_NAMES: Record<ServerKind, string> = { node: "Node.js", native: "native", c: "C appliance" };

const FLOOR = "yes to everything, integrated_flush";
const NOT_CHECKED = Buffer.alloc(0);

/** IOPS with each number of writers. */
type Figures = number[];

async function measure(lab: Lab, options: MirrorOptions): Promise<Figures> {
  const mirror = await lab.makeMirror(options, NOT_CHECKED);
  const jobs = WRITERS.map((count): FioJob => ({ path: mirror.path, kind: "write", count }));
  const figures = await measureIops(jobs, RUN_TIME_MS);
  await mirror.remove();
  return figures;
}

/** One round: the figures of each rival by its name. The servers take turns at going first. */
async function measureRound(lab: Lab, number: number): Promise<Map<string, Figures>> {
  const round = new Map<string, Figures>();
  for (const [name, options] of Object.entries(YARDSTICKS)) round.set(name, await measure(lab, options));
  round.set(FLOOR, await measureFloor(lab));
  const kinds = number % 2 === 0 ? SERVER_KINDS : [...SERVER_KINDS].reverse();
  for (const kind of kinds) {
    await lab.servers[kind].start();
    for (const { name, options } of SERVED) round.set(rivalName(name, kind), await measure(lab, options));
    await lab.servers[kind].stop();
  }
  return round;
}

/** What the kernel and the socket leave, whoever answers: with a server that says yes to everything. */
async function measureFloor(lab: Lab): Promise<Figures> {
  const regions = Math.ceil(CORE.sizeSectors / CORE.regionSizeSectors);
  const program = join(lab.repositoryPath, "dist/native/floor");
  const child = spawn(program, [String(CORE.regionSizeSectors), String(regions)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const figures = await measure(lab, { ...CORE, integratedFlush: true });
  const ended = once(child, "exit");
  child.kill();
  await ended;
  return figures;
}

function rivalName(log: string, kind: ServerKind): string {
  return `${log}, ${SERVER_NAMES[kind]}`;
}

async function compare(lab: Lab): Promise<void> {
  // The disks are sparse files: otherwise the first writer would pay for allocating them.
  const sizeMiB = DISK_SIZE_BYTES / 1024 / 1024;
  for (const leg of CORE.legs) {
    await runCommand("dd", ["if=/dev/zero", `of=${leg}`, "bs=1M", `count=${sizeMiB}`, "oflag=direct"]);
  }
  const rounds: Map<string, Figures>[] = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push(await measureRound(lab, round));

  const of = (round: Map<string, Figures>, name: string, column: number) => round.get(name)?.[column] ?? Number.NaN;
  /** Ratios are taken within a round. */
  const ratio = (name: string, base: string, column: number) =>
    median(rounds.map((round) => of(round, name, column) / of(round, base, column))).toFixed(2);
  const row = (name: string, cells: string[]) =>
    lab.note([name.padEnd(NAME_WIDTH), ...cells.map((cell) => cell.padStart(CELL_WIDTH))].join(""));
  const rivalRow = (name: string, base: string) => {
    const iops = (column: number) => median(rounds.map((round) => of(round, name, column))).toFixed(0);
    row(
      name,
      WRITERS.map((_, column) => `${iops(column)} IOPS  ${ratio(name, base, column)}`),
    );
  };

  row(
    "4 KiB random direct writes",
    WRITERS.map((writers) => `${writers} at a time`),
  );
  for (const name of Object.keys(YARDSTICKS)) rivalRow(name, name);
  rivalRow(FLOOR, KERNEL_CORE);
  for (const { name, yardstick } of SERVED) {
    for (const kind of SERVER_KINDS) rivalRow(rivalName(name, kind), yardstick);
    row(
      `${name}, native to Node.js`,
      WRITERS.map((_, column) => ratio(rivalName(name, "native"), rivalName(name, "node"), column)),
    );
    if (name === FLOORED) {
      row(
        `${name}, native to the floor`,
        WRITERS.map((_, column) => ratio(rivalName(name, "native"), FLOOR, column)),
      );
    }
    row(
      `${name}, native to C appliance`,
      WRITERS.map((_, column) => ratio(rivalName(name, "native"), rivalName(name, "c"), column)),
    );
  }
}

const iops: Scenario = {
  name: "iops",
  sentence: "For information: IOPS on the kernel's own logs and on those of both servers, in one boot, with ratios.",
  timeLimitMs: 400_000,
  isAlone: true,
  nodeOnly: "it measures all servers in one boot",
  run: compare,
};

export const speedScenarios = [iops];
