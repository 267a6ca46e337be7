import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { SECTOR_SIZE_BYTES } from "../guest/disk.ts";
import type { Lab } from "../guest/lab.ts";
import type { LoadTally } from "../guest/load.ts";
import { parseLog } from "../guest/log-device.ts";
import { DISK_MIRROR } from "../guest/mirror.ts";
import { RecordedDisk } from "../guest/recorded-disk.ts";
import type { Scenario } from "../guest/scenario.ts";

const [FIRST_DISK, SECOND_DISK, RECORD_DISK, LOG_DISK] = DISKS;
/** Small, since each cut keeps a copy of both legs. */
const SIZE_SECTORS = 2048;
const REGION_SIZE_SECTORS = 16;
const LOG_SIZE_SECTORS = 16;
const CUTS = 8;
/** The record of each leg has room for them. */
const WRITES_MAX = 2500;
const CUT_PAUSE_MS_MIN = 100;
const CUT_PAUSE_MS_MAX = 500;

/** One disk as a power cut may leave it: everything that was written, or what had been flushed. */
interface Remains {
  all: Buffer;
  durable: Buffer;
}

const REGION_COUNT = SIZE_SECTORS / REGION_SIZE_SECTORS;

/** A device without a log of this mirror knows nothing: a mirror that starts with it treats every region as dirty. */
function dirtyRegionsOf(bytes: Buffer): number[] {
  const { magic, regionCount, dirtyRegions } = parseLog(bytes);
  const isThere = magic === "rRiM" && regionCount === REGION_COUNT;
  return isThere ? dirtyRegions : Array.from({ length: REGION_COUNT }, (_, region) => region);
}

function differing(first: Buffer, second: Buffer): number[] {
  const regionBytes = REGION_SIZE_SECTORS * SECTOR_SIZE_BYTES;
  const regions: number[] = [];
  for (let start = 0; start < first.length; start += regionBytes) {
    const end = start + regionBytes;
    if (!first.subarray(start, end).equals(second.subarray(start, end))) regions.push(start / regionBytes);
  }
  return regions;
}

/** Whichever of the unflushed writes survive, the log knows every region in which the legs differ. */
function checkCut(name: string, first: Remains, second: Remains, log: Remains): void {
  for (const knowledge of ["all", "durable"] as const) {
    const dirty = new Set(dirtyRegionsOf(log[knowledge]));
    for (const [a, b] of [
      ["all", "all"],
      ["all", "durable"],
      ["durable", "all"],
      ["durable", "durable"],
    ] as const) {
      const unknown = differing(first[a], second[b]).filter((region) => !dirty.has(region));
      const what = `of the first leg's writes ${a}, of the second's ${b}, of the log's ${knowledge}`;
      assert.deepEqual(unknown, [], `${name}: regions that differ and that the log calls clean, surviving ${what}`);
    }
  }
}

async function lostWrites(lab: Lab, integratedFlush: boolean): Promise<void> {
  const record = (name: string, disk: string, sizeSectors: number, index: number) =>
    RecordedDisk.create(lab.dm, name, disk, sizeSectors, RECORD_DISK, index);
  const disks = [
    await record("first", FIRST_DISK, SIZE_SECTORS, 0),
    await record("second", SECOND_DISK, SIZE_SECTORS, 1),
    await record("log", LOG_DISK, LOG_SIZE_SECTORS, 2),
  ] as const;
  const [first, second, log] = disks;
  const mirror = await lab.makeMirror({
    ...DISK_MIRROR,
    legs: [first.path, second.path],
    sizeSectors: SIZE_SECTORS,
    regionSizeSectors: REGION_SIZE_SECTORS,
    logDevice: log.path,
    integratedFlush,
  });

  const survivors = new Map<string, Buffer[]>();
  async function cut(name: string): Promise<void> {
    // The legs stop first, so that the log's last state claims nothing that they have not done.
    for (const disk of disks) await disk.suspend();
    for (const disk of disks) await disk.mark(name);
    survivors.set(name, await Promise.all(disks.map((disk) => disk.readAll())));
    for (const disk of [...disks].reverse()) await disk.resume();
  }
  const goOn = ({ writes }: LoadTally) => survivors.size < CUTS && writes < WRITES_MAX;
  const load = lab.load(mirror, goOn, { blocksPerWriteMax: 1 });
  for (let number = 0; number < CUTS; number++) {
    await sleep(CUT_PAUSE_MS_MIN + lab.random.below(CUT_PAUSE_MS_MAX - CUT_PAUSE_MS_MIN));
    await cut(`cut-${number}`);
  }
  const { writes } = await load;
  await mirror.waitInSync();
  await mirror.checkContents();
  await mirror.remove();

  const durable = await Promise.all(disks.map((disk) => disk.durableAtMarks()));
  let lost = 0;
  let clean = 0;
  for (const [name, contents] of survivors) {
    const [firstLeg, secondLeg, logDevice] = contents.map((all, index) => {
      const atMark = durable[index]?.get(name);
      assert(atMark, `The ${name} is not in the record of disk ${index}`);
      return { all, durable: atMark };
    }) as [Remains, Remains, Remains];
    checkCut(name, firstLeg, secondLeg, logDevice);
    lost += differing(firstLeg.all, firstLeg.durable).length;
    clean += REGION_COUNT - dirtyRegionsOf(logDevice.durable).length;
  }
  assert(lost > 0, "No write was unflushed at any cut: nothing was tried");
  assert(clean > 0, "No region was clean for certain at any cut: nothing was tried");
  lab.note(
    `${writes} writes, ${CUTS} cuts: ${lost} times a region lost writes, ${clean} times the log called one clean`,
  );
  await lab.dm.removeAll();
}

export const lostWritesScenarios: Scenario[] = [
  {
    name: "lost-writes",
    sentence: `At ${CUTS} moments under load, unflushed writes of legs and log are lost in every combination: the log knows each difference.`,
    timeLimitMs: 240_000,
    async run(lab) {
      await lab.server.start({ quietTimeMs: 200 });
      for (const integratedFlush of [false, true]) await lostWrites(lab, integratedFlush);
    },
  },
];
