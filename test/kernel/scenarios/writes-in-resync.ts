import assert from "node:assert/strict";
import { DISKS } from "../guest/contract.ts";
import { readContentsInto } from "../guest/disk.ts";
import { type FioJob, measureIops, median } from "../guest/fio.ts";
import type { Lab } from "../guest/lab.ts";
import { MIRROR, type Mirror, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

/**
 * Of the IOPS of the same mirror in sync. The kernel's throttle leaves a thousandth of them; without it they are 0.8 to 1.8 on a quiet
 * machine, and on a busy one they were once 0.55.
 */
const RATIO_MIN = 0.3;
type Load = Omit<FioJob, "path">;
const LOADS: readonly Load[] = [
  { kind: "write", count: 1 },
  { kind: "write", count: 4 },
  { kind: "read", count: 4 },
];
const RUN_TIME_MS = 150;
/**
 * All mirrors are there at the same time and take turns, so that a busy machine is busy for all of them. Figures are the
 * medians of the rounds; ratios are taken within a round. Where one is too low, more rounds tell whether that was chance.
 */
const ROUNDS = 6;
const BATCHES_MAX = 3;

const REGION_SIZE_SECTORS = 256;
const REGION_COUNT = 96;
const SIZE_SECTORS = REGION_COUNT * REGION_SIZE_SECTORS;
/**
 * A resync comes to these regions, of which the second leg takes SLOW_WRITE_MS for each, and measuring begins: so the
 * resync outlasts it. What is measured stays away from them, as from the last region, about which the kernel asks.
 */
const SLOW_REGIONS = { first: 24, end: 72 };
const SLOW_WRITE_MS = 5000;
/** The same while data is checked, until the resync is over. */
const CHECKED_WRITE_MS = 60;

const NAME_WIDTH = 26;
const CELL_WIDTH = 18;

/** A mirror of the comparison: `number` tells the parts of the disks that its legs are. */
class Rival {
  readonly #legs: [string, string];
  readonly #options: MirrorOptions;
  /** By load, then by round. */
  readonly iops: number[][] = LOADS.map(() => []);
  readonly #windowName: string;
  #mirror: Mirror | undefined;

  constructor(
    readonly name: string,
    private readonly number: number,
    options: Pick<MirrorOptions, "logType" | "logDevice" | "sync">,
  ) {
    this.#windowName = `window-${number}`;
    this.#legs = [`first-${number}`, `second-${number}`];
    const [first, second] = this.#legs.map((leg) => `/dev/mapper/${leg}`) as [string, string];
    this.#options = {
      ...MIRROR,
      ...options,
      name: `mirror-${number}`,
      legs: [first, second],
      sizeSectors: SIZE_SECTORS,
      regionSizeSectors: REGION_SIZE_SECTORS,
      integratedFlush: true,
    };
  }

  get isResyncing(): boolean {
    return this.#options.sync === "sync";
  }

  get mirror(): Mirror {
    if (this.#mirror === undefined) throw new Error(`${this.name} has no mirror yet`);
    return this.#mirror;
  }

  /** Half of the regions that are measured are resynced already, half not yet. */
  get window(): string {
    return `/dev/mapper/${this.#windowName}`;
  }

  /** Its own part of a disk, where writes to the slow regions take so long. */
  #legTable(disk: string, slowWriteMs: number): string {
    const { first, end } = SLOW_REGIONS;
    const offset = (region: number) => this.number * SIZE_SECTORS + region * REGION_SIZE_SECTORS;
    const slow = `delay ${disk} ${offset(first)} 0 ${disk} ${offset(first)} ${slowWriteMs}`;
    return segments(
      { first: 0, end: first, target: `linear ${disk} ${offset(0)}` },
      { first, end, target: slowWriteMs === 0 ? `linear ${disk} ${offset(first)}` : slow },
      { first: end, end: REGION_COUNT, target: `linear ${disk} ${offset(end)}` },
    );
  }

  setSlowWrites(lab: Lab, ms: number): Promise<void> {
    return lab.dm.replace(this.#legs[1], this.#legTable(DISKS[1], ms));
  }

  async make(lab: Lab): Promise<void> {
    for (const leg of [0, 1] as const) await lab.dm.create(this.#legs[leg], this.#legTable(DISKS[leg], 0));
    const contents = await lab.fillLegs(this.#options);
    await this.setSlowWrites(lab, SLOW_WRITE_MS);
    const mirror = await lab.makeMirror(this.#options, contents);
    this.#mirror = mirror;
    const { first, end } = SLOW_REGIONS;
    if (this.isResyncing) {
      await mirror.waitFor("the slow regions are reached", ({ inSyncRegions }) => inSyncRegions >= first);
    }
    const beyond = `linear ${mirror.path} ${end * REGION_SIZE_SECTORS}`;
    await lab.dm.create(
      this.#windowName,
      segments(
        { first: 0, end: first, target: `linear ${mirror.path} 0` },
        { first, end: first + REGION_COUNT - 1 - end, target: beyond },
      ),
    );
  }

  iopsWords(): string[] {
    return this.iops.map((rounds) => median(rounds).toFixed(0));
  }

  /** By load. */
  ratiosTo(base: Rival): number[] {
    return this.iops.map((rounds, load) => {
      return median(rounds.map((figure, round) => figure / (base.iops[load]?.[round] ?? Number.NaN)));
    });
  }

  /** Writes and reads everywhere until the resync is over: then the mirror and both legs hold what was written. */
  async checkData(lab: Lab): Promise<string> {
    const { mirror } = this;
    const [firstLeg] = mirror.options.legs;
    await this.setSlowWrites(lab, CHECKED_WRITE_MS);
    await readContentsInto(mirror.contents, firstLeg);
    let isResyncing = true;
    const load = lab.load(mirror, () => isResyncing);
    await mirror.waitInSync();
    isResyncing = false;
    const { writes, reads } = await load;
    assert(writes > 0 && reads > 0, `${this.name}: the resync was over before anything was written and read`);
    await mirror.checkContents();
    return `${this.name}: ${writes} writes and ${reads} reads until it was over`;
  }
}

/** The same kind of log. */
interface Pair {
  inSync: Rival;
  resync: Rival;
}

const CORE = { logType: "clustered-core" } as const;
const disk = (logDevice: string) => ({ logType: "clustered-disk", logDevice }) as const;

/** Lines of a table, each for some regions. */
function segments(...lines: { first: number; end: number; target: string }[]): string {
  return lines
    .map(({ first, end, target }) => `${first * REGION_SIZE_SECTORS} ${(end - first) * REGION_SIZE_SECTORS} ${target}`)
    .join("\n");
}

function nameOf({ kind, count }: Load): string {
  return `${count} ${kind === "read" ? "reader" : "writer"}${count === 1 ? "" : "s"}`;
}

async function compare(lab: Lab): Promise<void> {
  const kernelCore = new Rival("kernel core, resync", 0, { logType: "kernel core", sync: "sync" });
  const logs: readonly Pair[] = [
    {
      inSync: new Rival("core log, in sync", 1, { ...CORE, sync: "nosync" }),
      resync: new Rival("core log, resync", 2, { ...CORE, sync: "sync" }),
    },
    {
      inSync: new Rival("disk log, in sync", 3, { ...disk(DISKS[2]), sync: "nosync" }),
      resync: new Rival("disk log, resync", 4, { ...disk(DISKS[3]), sync: "sync" }),
    },
  ];
  const rivals = [kernelCore, ...logs.flatMap(({ inSync, resync }) => [inSync, resync])];
  const resyncing = rivals.filter(({ isResyncing }) => isResyncing);

  await lab.server.start();
  for (const rival of rivals) await rival.make(lab);
  const countInSync = async ({ mirror }: Rival) => (await mirror.status()).inSyncRegions;
  const before = await Promise.all(resyncing.map(countInSync));
  for (let batch = 0; batch < BATCHES_MAX && (batch === 0 || shortfalls(logs).length > 0); batch++)
    await measure(rivals);
  for (const [i, rival] of resyncing.entries()) {
    const after = await countInSync(rival);
    assert(after > (before[i] ?? 0), `${rival.name}: no region was resynced meanwhile`);
    assert(after < SLOW_REGIONS.end, `${rival.name}: the resync came to what was measured`);
  }

  const row = (name: string, cells: string[]) =>
    lab.note([name.padEnd(NAME_WIDTH), ...cells.map((cell) => cell.padStart(CELL_WIDTH))].join(""));
  row("4 KiB random direct IOPS", LOADS.map(nameOf));
  row(kernelCore.name, kernelCore.iopsWords());
  for (const { inSync, resync } of logs) {
    const ratios = resync.ratiosTo(inSync);
    row(inSync.name, inSync.iopsWords());
    row(
      resync.name,
      resync.iopsWords().map((words, load) => `${words}  ${ratios[load]?.toFixed(2)}`),
    );
  }
  for (const rival of resyncing) lab.note(await rival.checkData(lab));
  assert.equal(shortfalls(logs).join("; "), "", `Less than ${RATIO_MIN} of the same mirror in sync`);
}

/** One more batch of rounds. What is compared stands side by side: all mirrors under one load, then under the next. */
async function measure(rivals: readonly Rival[]): Promise<void> {
  const turns = Array.from({ length: ROUNDS }, () =>
    LOADS.map((load, number) => rivals.map((rival) => ({ rival, number, job: { ...load, path: rival.window } }))),
  ).flat(2);
  const figures = await measureIops(
    turns.map(({ job }) => job),
    RUN_TIME_MS,
  );
  for (const [i, { rival, number }] of turns.entries()) rival.iops[number]?.push(figures[i] ?? Number.NaN);
}

/** Where a mirror that resyncs is slower than it may be, in words. */
function shortfalls(logs: readonly Pair[]): string[] {
  return logs.flatMap(({ inSync, resync }) => {
    const ratios = resync.ratiosTo(inSync);
    return LOADS.flatMap((load, i) => {
      const ratio = ratios[i] ?? Number.NaN;
      // As a comparison that what is not a number does not pass.
      return ratio >= RATIO_MIN ? [] : [`${resync.name}, ${nameOf(load)}: ${ratio.toFixed(2)}`];
    });
  });
}

const writesInResync: Scenario = {
  name: "writes-in-resync",
  sentence: `Writes and reads have at least ${RATIO_MIN} of their IOPS while a mirror resyncs; data is right, legs end identical.`,
  timeLimitMs: 240_000,
  isAlone: true,
  run: compare,
};

export const writesInResyncScenarios = [writesInResync];
