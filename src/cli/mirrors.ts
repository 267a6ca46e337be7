// dm-ulog up, down, remove and list: mirrors by the files that declare them. Each does nothing where all is already as it is to be.

import { setTimeout as sleep } from "node:timers/promises";
import { findIfThere, THIS_MACHINE, usesOf } from "../node/devices/block-devices.ts";
import { createDevice, linkPath, removeDevice } from "../node/devices/mapped-device.ts";
import { udevAnswers } from "../node/devices/udev-cookie.ts";
import { LEGS_DIFFER } from "../node/mirrors/mirror-difference.ts";
import { legsUnknownToLog, withoutDuplicates } from "../node/mirrors/mirror-file.ts";
import {
  type DeclaredMirror,
  declaredNames,
  deleteDeclared,
  mirrorPath,
  readDeclared,
  withMirrorsLocked,
} from "../node/mirrors/mirror-files.ts";
import { isServed, requestSockets } from "../node/requests/netlink-sockets.ts";
import { changeFile, settle, withoutCaughtUp } from "./change.ts";
import {
  absentDevices,
  declaredTarget,
  deviceUuid,
  type MirrorState,
  makeStandIns,
  removeStandIns,
  stateOf,
} from "./declared.ts";
import { deviceSentence } from "./device-sentence.ts";
import { tellUdev } from "./leg-rules.ts";
import { disableUnit, startUnits, stopUnits } from "./mirror-units.ts";
import { formatSectors, parseSeconds, parseSectors } from "./sizes.ts";
import { textTable } from "./text-table.ts";

export interface MirrorsOptions {
  mirrorsDir: string;
}

export interface SomeMirrorsOptions extends MirrorsOptions {
  all?: boolean;
}

export interface UpOptions extends SomeMirrorsOptions {
  wait?: string;
  degraded?: boolean;
}

export interface DownOptions extends SomeMirrorsOptions {
  wait?: string;
}

const WAIT_STEP_MS = 100;
const LOCK_WAIT_MS = 30_000;
/** udev looks at a device that was written to or unmounted, and holds it for a moment. */
const UDEV_LOOKS_MS = 5000;
const EBUSY = -16;

/** Brings mirrors up. Returns the exit status: 1 where one could not be. */
export async function up(names: readonly string[], { all, degraded, mirrorsDir, wait }: UpOptions): Promise<number> {
  const waitSeconds = wait === undefined ? 0 : parseSeconds(wait, "Time");
  const broughtUp: string[] = [];
  const status = await forEach(chosenNames(names, all, mirrorsDir), async (name) => {
    await waitForWhatItNeeds(readDeclared(mirrorsDir, name), waitSeconds);
    // The file may have changed meanwhile.
    const act = () => bringUp(readDeclared(mirrorsDir, name), degraded === true ? { degraded } : {});
    console.log(await withMirrorsLocked(mirrorsDir, LOCK_WAIT_MS, act));
    broughtUp.push(name);
  });
  await tellUdev(mirrorsDir);
  return told(await startUnits(broughtUp, mirrorsDir)) ? status : 1;
}

/** Takes mirrors down. Returns the exit status: 1 where one could not be. */
export async function down(names: readonly string[], { all, mirrorsDir, wait }: DownOptions): Promise<number> {
  const waitSeconds = wait === undefined ? 0 : parseSeconds(wait, "Time");
  const takenDown: string[] = [];
  const status = await forEach(chosenNames(names, all, mirrorsDir), async (name) => {
    const act = async () => console.log(await takeDown(readDeclared(mirrorsDir, name)));
    await whenFree(waitSeconds, () => withMirrorsLocked(mirrorsDir, LOCK_WAIT_MS, act));
    takenDown.push(name);
  });
  return told(await stopUnits(takenDown, mirrorsDir)) ? status : 1;
}

/** Takes a mirror down and deletes its file. */
export async function remove(name: string, { mirrorsDir }: MirrorsOptions): Promise<void> {
  const act = async () => {
    const declared = readDeclared(mirrorsDir, name);
    console.log(await takeDown(declared));
    deleteDeclared(declared.path);
    const { legs, logDevice, behind } = declared.mirror;
    const upToDate = legs.filter((leg) => !behind.includes(leg));
    console.log(`${declared.path} is deleted. The mirror's data is on ${upToDate.join(" and ")}.`);
    if (behind.length > 0) console.log(`${behind.join(" and ")} may hold older data.`);
    if (logDevice !== undefined) console.log(`Nobody needs the log on ${logDevice} any more.`);
  };
  await whenFree(0, () => withMirrorsLocked(mirrorsDir, LOCK_WAIT_MS, act));
  await tellUdev(mirrorsDir);
  told(await disableUnit(name, mirrorsDir));
}

/** Shows the mirrors that are declared. Returns the exit status: 1 where a file cannot be read. */
export async function list({ mirrorsDir }: MirrorsOptions): Promise<number> {
  const names = declaredNames(mirrorsDir);
  if (names.length === 0) {
    console.log(`No mirrors are declared in ${mirrorsDir}. Declare one: dm-ulog create NAME LEG LEG`);
    return 0;
  }
  const rows: string[][] = [];
  const status = await forEach(names, async (name) => {
    const declared = readDeclared(mirrorsDir, name);
    const state = await stateOf(declared);
    const { legs, size, logDevice } = declared.mirror;
    const sizeText = formatSectors(parseSectors(size, "Size"));
    rows.push([name, state.state, sizeText, legs.join(" "), logDevice ?? "memory"]);
  });
  if (rows.length > 0) console.log(textTable(["name", "state", "size", "legs", "log"], rows));
  return status;
}

/**
 * Returns a sentence. Throws sentences where the mirror cannot be brought up, and leaves all as it was. Whoever calls has the mirrors
 * locked.
 */
export async function bringUp(declared: DeclaredMirror, { degraded }: { degraded?: boolean } = {}): Promise<string> {
  const { name, mirror } = declared;
  try {
    const settled = await settle(declared);
    if (settled !== undefined) return settled;
    const state = await stateOf(declared);
    if (state.state === "up" || state.state === "suspended") return `${linkPath(name)} is up.`;
    if (state.state === "differs") throw new Error(differenceText(name, state));
    if (state.state === "unfinished") removeDevice(name);
    checkLogLegs(declared);
    const absent = absentDevices(mirror);
    if (absent.length === 0) {
      const target = await declaredTarget(declared, {});
      createDevice(name, deviceUuid(mirror), target);
      return `${linkPath(name)} is up: ${formatSectors(target.lengthSectors)}.`;
    }
    return await bringUpWithout(declared, absent, degraded === true);
  } catch (error) {
    throw deviceSentence(`${name} cannot be brought up`, error);
  }
}

/** Throws sentences where the file has a leg that the log would call in sync though nothing was ever copied to it. */
function checkLogLegs({ name, path, mirror }: DeclaredMirror): void {
  const unknown = legsUnknownToLog(mirror);
  if (unknown.length === 0) return;
  throw new Error(
    `${name} cannot be brought up: ${unknown.join(" and ")} ${unknown.length === 1 ? "was no leg" : "were no legs"} when its log was ` +
      `written, so the log would call in sync what may differ. Give legs in ${path} its old value, which log-legs has, and then: ` +
      `dm-ulog up ${name} && dm-ulog replace ${name} OLD NEW. If it is an old leg by a new name, write that name into log-legs too.`,
  );
}

/**
 * The file says which legs are behind before anything is written to the others: whoever sees all legs after the next boot must know which
 * of them to copy from.
 */
async function bringUpWithout(declared: DeclaredMirror, absent: readonly string[], degraded: boolean): Promise<string> {
  const { name, mirror } = declared;
  const what = `${absent.join(" and ")} ${absent.length === 1 ? "is" : "are"} not there`;
  if (mirror.logDevice !== undefined && absent.includes(mirror.logDevice)) {
    throw new Error(
      `${name} cannot be brought up: ${what}. Without its log nobody knows where the legs differ: bring it back, or take the key ` +
        `log-device out of ${declared.path}, which copies everything from the first leg.`,
    );
  }
  if (!degraded) throw new Error(`${name} cannot be brought up: ${what}. To do without: dm-ulog up --degraded ${name}`);
  const behind = withoutDuplicates([...mirror.behind, ...absent]);
  if (mirror.legs.every((leg) => behind.includes(leg))) {
    throw new Error(
      `${name} cannot be brought up: ${what}, and the other legs missed writes (behind in ${declared.path}).`,
    );
  }
  const known = changeFile(declared, { behind });
  makeStandIns(known);
  try {
    const target = await declaredTarget(known, {});
    createDevice(name, deviceUuid(mirror), target);
    return `${linkPath(name)} is up without ${absent.join(" and ")}: ${formatSectors(target.lengthSectors)}.`;
  } catch (error) {
    removeStandIns(known);
    throw error;
  }
}

/** Throws `InUse` where somebody uses it, and other sentences where it cannot be taken down. Whoever calls has the mirrors locked. */
async function takeDown(declared: DeclaredMirror): Promise<string> {
  const { name } = declared;
  const state = await stateOf(declared);
  if (state.state === "down") {
    removeStandIns(declared);
    return `${linkPath(name)} is down already.`;
  }
  if (state.state === "differs" && !state.isOurs) {
    throw new Error(
      [`${linkPath(name)} is another device than the mirror that is declared, and stays.`, ...state.differences].join(
        "\n",
      ),
    );
  }
  const device = findIfThere(THIS_MACHINE, linkPath(name));
  // Whoever brings it up without a leg must know whether the others miss writes.
  if (state.state === "up" && isServed()) withoutCaughtUp(declared);
  const uses = device === undefined ? [] : usesOf(THIS_MACHINE, device);
  if (uses.length > 0) {
    const what = uses.map(({ what }) => what).join(", and ");
    throw new InUse(`${name} cannot be taken down: it ${what}. End that first.`, true);
  }
  try {
    removeDevice(name);
    removeStandIns(declared);
    return `${linkPath(name)} is down.`;
  } catch (error) {
    const sentence = deviceSentence(`${name} cannot be taken down`, error);
    throw (error as NodeJS.ErrnoException).errno === EBUSY ? new InUse(sentence.message, false) : sentence;
  }
}

class InUse extends Error {
  /** Whether it is known by whom. Else it may be udev. */
  readonly isKnown: boolean;

  constructor(sentence: string, isKnown: boolean) {
    super(sentence);
    this.isKnown = isKnown;
  }
}

/** Repeats what throws `InUse`, for this time. In between others have their turn, who may be those that use it. */
async function whenFree(waitSeconds: number, act: () => Promise<void>): Promise<void> {
  const startMs = performance.now();
  const waitMs = waitSeconds * 1000;
  const waitUnknownMs = Math.max(waitMs, udevAnswers() ? UDEV_LOOKS_MS : 0);
  for (;;) {
    try {
      await act();
      return;
    } catch (error) {
      if (!(error instanceof InUse)) throw error;
      if (performance.now() - startMs >= (error.isKnown ? waitMs : waitUnknownMs)) throw error;
    }
    await sleep(WAIT_STEP_MS);
  }
}

function differenceText(name: string, { device, differences }: MirrorState & { state: "differs" }): string {
  const again = `dm-ulog down ${name} && dm-ulog up ${name}`;
  // A log on a device would call a leg in sync that it has never seen.
  const hasOtherLegs = differences.some((one) => one.startsWith(LEGS_DIFFER));
  const remedy = hasOtherLegs
    ? `A leg in the file that is new to the mirror would count as in sync. Change the file back, then: dm-ulog replace ${name} OLD NEW`
    : device.openCount === 0
      ? `To have it as its file says: ${again}`
      : `It is in use. Change the file back, or end what uses it, and type: ${again}`;
  return [`${name} is up, and differs from its file.`, ...differences, remedy].join("\n");
}

async function waitForWhatItNeeds({ name, mirror }: DeclaredMirror, seconds: number): Promise<void> {
  const endMs = performance.now() + seconds * 1000;
  const missing = () => [...absentDevices(mirror), ...(requestSockets().length === 0 ? ["a server"] : [])];
  const first = seconds === 0 ? [] : missing();
  if (first.length === 0) return;
  console.log(`${name} waits up to ${seconds} s for ${first.join(" and ")}.`);
  while (missing().length > 0 && performance.now() < endMs) await sleep(WAIT_STEP_MS);
}

/** Whether there was nothing to tell on standard error. */
function told(problem: string | undefined): boolean {
  if (problem !== undefined) console.error(`dm-ulog: ${problem}`);
  return problem === undefined;
}

function chosenNames(names: readonly string[], all: boolean | undefined, directory: string): readonly string[] {
  if (all === true && names.length > 0) throw new Error("Give names, or --all, not both.");
  if (all !== true && names.length === 0) throw new Error("Name a mirror, or give --all. dm-ulog list shows them.");
  for (const name of names) mirrorPath(directory, name);
  return all === true ? declaredNames(directory) : names;
}

/** One after the other. What fails is told on standard error, and the others have their turn. Returns the exit status. */
async function forEach(names: readonly string[], act: (name: string) => Promise<void>): Promise<number> {
  let status = 0;
  for (const name of names) {
    try {
      await act(name);
    } catch (error) {
      console.error(`dm-ulog: ${(error as Error).message}`);
      status = 1;
    }
  }
  return status;
}
