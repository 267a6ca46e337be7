// Puts another table in the place of a mirror's, and the file that declares it along with it.
//
// The new table is loaded beside the live one, then the file is put in its place, then the mirror goes over: suspended without a flush and
// resumed, which writes wait for. Whoever is cut off in between leaves one of two things, and `settle` tells them apart: a loaded table
// that is not the file's, which is dropped, or one that is, to which the mirror goes over. So a mirror is the old one or the new one.

import { findIfThere, THIS_MACHINE } from "../node/devices/block-devices.ts";
import {
  clearTable,
  loadTable,
  readMappedDevice,
  readStatus,
  resumeDevice,
  suspendDevice,
} from "../node/devices/mapped-device.ts";
import {
  changeMirrorFile,
  type MirrorFile,
  type MirrorFileChange,
  parseMirrorFile,
} from "../node/mirrors/mirror-file.ts";
import { type DeclaredMirror, readText, writeDeclared } from "../node/mirrors/mirror-files.ts";
import { type MirrorStatus, parseMirrorStatus } from "../node/mirrors/mirror-status.ts";
import { declaredTarget, differencesFrom, makeStandIns, removeStandIns } from "./declared.ts";
import { deviceSentence } from "./device-sentence.ts";

export interface Change {
  file: MirrorFileChange;
  /** Whether what the log's device says is not to be believed: a leg is new, or the device is. */
  isLogNew: boolean;
}

/** The points of a change at which it may be cut off. */
export type Point = "planned" | "loaded" | "declared" | "suspended" | "done";
/** Told as each is reached; a test ends the process there. */
export type Reached = (point: Point) => void;

/** The mirror as a change makes it. Throws sentences where that would be none. */
export function changed(declared: DeclaredMirror, { file }: Change): { text: string; after: DeclaredMirror } {
  const text = changeMirrorFile(
    declared.path,
    readText(declared.path, declared.name),
    withLogLegs(file, declared.mirror),
  );
  return { text, after: { ...declared, mirror: parseMirrorFile(declared.path, text) } };
}

/** What a change does to the legs, the log learns: it has the kernel copy to those that are new. */
function withLogLegs(file: MirrorFileChange, { legs, logDevice }: MirrorFile): MirrorFileChange {
  if (file.legs === undefined && file["log-device"] === undefined) return file;
  const device = file["log-device"] === undefined ? logDevice : file["log-device"];
  return { ...file, "log-legs": device == null ? null : (file.legs ?? legs) };
}

/** Changes a mirror that is up. Throws sentences, and leaves it as it was, where that cannot be. Whoever calls has the mirrors locked. */
export async function applyChange(
  declared: DeclaredMirror,
  change: Change,
  reached: Reached = () => {},
): Promise<DeclaredMirror> {
  const { name, path } = declared;
  const { text, after } = changed(declared, change);
  const before = readText(path, name);
  try {
    makeStandIns(after);
    const target = await declaredTarget(after, { isLive: true, isLogNew: change.isLogNew });
    reached("planned");
    loadTable(name, target);
    reached("loaded");
  } catch (error) {
    removeStandIns(declared);
    throw deviceSentence(`${name} stays as it is`, error);
  }
  writeDeclared(path, text);
  reached("declared");
  try {
    goOver(name, reached);
  } catch (error) {
    writeDeclared(path, before);
    await settle(declared);
    throw deviceSentence(`${name} stays as it is`, error);
  }
  reached("done");
  removeStandIns(after);
  return after;
}

/** Writes the file of a mirror anew, and leaves its table. */
export function changeFile(declared: DeclaredMirror, file: MirrorFileChange): DeclaredMirror {
  const { text, after } = changed(declared, { file, isLogNew: false });
  writeDeclared(declared.path, text);
  return after;
}

/**
 * Brings to its end what somebody began and was cut off in. Returns a sentence where there was something. Throws with `errno`. Whoever
 * calls has the mirrors locked.
 */
export async function settle(declared: DeclaredMirror): Promise<string | undefined> {
  const { name } = declared;
  const device = readMappedDevice(name);
  const [loaded] = device?.inactive ?? [];
  if (device === undefined || device.live.length === 0) return undefined;
  if (loaded !== undefined && (await differencesFrom(declared, loaded)).length > 0) {
    clearTable(name);
    if (device.isSuspended) resumeDevice(name);
    return `A table was loaded for ${name} that its file does not declare. It is dropped, and the mirror stays as it was.`;
  }
  if (loaded !== undefined) {
    goOver(name);
    removeStandIns(declared);
    return `A change of ${name} was cut off. It is brought to its end: the mirror is as its file declares it.`;
  }
  if (!device.isSuspended) return undefined;
  resumeDevice(name);
  return `${name} was suspended, and goes on.`;
}

/**
 * Suspends and resumes, which makes the kernel begin anew: with the loaded table if there is one, else with legs that failed. What a failed
 * log holds back, and what waits where writes wait for a leg, only goes on with a loaded table.
 */
export function goOver(name: string, reached: Reached = () => {}): void {
  suspendDevice(name, { isFlushing: false });
  reached("suspended");
  resumeDevice(name);
}

/** Asks the kernel, and so the server. Undefined where the device is no mirror. */
export function statusOf(name: string): MirrorStatus | undefined {
  return parseMirrorStatus(readStatus(name)[0]?.text ?? "");
}

export function isInSync({ legs, inSyncRegions, regionCount }: MirrorStatus): boolean {
  return inSyncRegions === regionCount && legs.every(({ health }) => health === "A");
}

/** The mirror's file without the legs that are behind no more. */
export function withoutCaughtUp(declared: DeclaredMirror): DeclaredMirror {
  if (declared.mirror.behind.length === 0) return declared;
  const status = statusOf(declared.name);
  return status !== undefined && isInSync(status) ? changeFile(declared, { behind: [] }) : declared;
}

export function numbersOf(name: string): string | undefined {
  return findIfThere(THIS_MACHINE, name)?.numbers ?? undefined;
}
