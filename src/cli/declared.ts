// A mirror between its file and the kernel: the table that its file means, and what the kernel has in its place.
//
// A leg that is not there has a stand-in while the mirror is up without it: a device on which everything fails. The mirror runs as with a
// leg that failed, and what the leg misses is recorded.

import { parseMirrorTable } from "../node/control/machine.ts";
import { type Device, findIfThere, type Machine, THIS_MACHINE } from "../node/devices/block-devices.ts";
import type { Target } from "../node/devices/device-mapper.ts";
import {
  createDevice,
  linkPath,
  type MappedDevice,
  readMappedDevice,
  removeDevice,
} from "../node/devices/mapped-device.ts";
import { differences, type WholeMirror } from "../node/mirrors/mirror-difference.ts";
import { LEG_OFFSET, legsToCopyFromFirst, type MirrorFile } from "../node/mirrors/mirror-file.ts";
import type { DeclaredMirror } from "../node/mirrors/mirror-files.ts";
import { parseSectors } from "./sizes.ts";
import { checkedTableLine, logsInUse, type TableOptions, uncheckedTableLine } from "./table.ts";

/** Of device-mapper's UUIDs: tells our devices from those of other programs. */
const DEVICE_UUID_PREFIX = "DMULOG-";
const DEVICE_UUID_CHARACTERS_MAX = 128;

function tableOptions(mirror: MirrorFile): TableOptions & { length: string } {
  const { uuid, size, regionSize, logDevice, logType, legFailure, integratedFlush, blockOnError } = mirror;
  return {
    ...{ uuid, length: size, regionSize, legFailure, integratedFlush, blockOnError },
    ...(logDevice === undefined ? {} : { logDevice }),
    ...(logType === undefined ? {} : { logType }),
  };
}

export interface TargetOptions {
  /** Whether the mirror exists, and so has its own devices in use. */
  isLive?: boolean;
  /** Whether what the log's device says is not to be believed. */
  isLogNew?: boolean;
}

/**
 * What to load for a declared mirror. Legs that are not there are taken for their stand-ins, which must exist. Throws sentences where its
 * devices are not fit for it: too small, one within the other, or in use.
 */
export async function declaredTarget(declared: DeclaredMirror, { isLive, isLogNew }: TargetOptions): Promise<Target> {
  const { name, mirror } = declared;
  const options = {
    ...tableOptions(mirror),
    isDeclared: true,
    ...(isLive === true ? { force: true } : {}),
    ...(isLogNew === true ? { sync: true } : {}),
  };
  const away = absentLegs(mirror);
  const legs = legsToCopyFromFirst(mirror).map((leg) => (away.includes(leg) ? standIn(name, mirror, leg) : leg));
  return targetOf((await checkedTableLine(legs, options, THIS_MACHINE, isLive === true ? [] : await logsInUse())).line);
}

/** A table line as the kernel is given it. */
export function targetOf(line: string): Target {
  const [, lengthSectors = "", type = "", ...words] = line.split(" ");
  return { type, text: words.join(" "), lengthSectors: Number(lengthSectors) };
}

export function deviceUuid({ uuid }: MirrorFile): string {
  return (DEVICE_UUID_PREFIX + uuid).slice(0, DEVICE_UUID_CHARACTERS_MAX);
}

/** A leg without the offset behind its name. */
export function legDevice(leg: string, machine: Machine = THIS_MACHINE): string {
  return findIfThere(machine, leg) === undefined ? leg.replace(LEG_OFFSET, "") : leg;
}

/** Legs that are not on this machine now. */
export function absentLegs({ legs }: MirrorFile, machine: Machine = THIS_MACHINE): string[] {
  return legs.filter((leg) => findIfThere(machine, legDevice(leg, machine)) === undefined);
}

/** Devices of a mirror that are not on this machine now. */
export function absentDevices(mirror: MirrorFile, machine: Machine = THIS_MACHINE): string[] {
  const { logDevice } = mirror;
  const isLogAway = logDevice !== undefined && findIfThere(machine, logDevice) === undefined;
  return [...absentLegs(mirror, machine), ...(isLogAway ? [logDevice] : [])];
}

/** Makes the stand-ins of the legs that are not there. Throws with `errno`. */
export function makeStandIns({ name, mirror }: DeclaredMirror): void {
  for (const leg of absentLegs(mirror)) {
    const standInName = nameOfStandIn(name, mirror, leg);
    if (readMappedDevice(standInName) !== undefined) continue;
    const lengthSectors = parseSectors(mirror.size, "Size") + offsetSectors(leg);
    createDevice(standInName, "", { type: "error", text: "", lengthSectors });
  }
}

/** Removes stand-ins that the mirror does not use, or no longer. */
export function removeStandIns({ name, mirror }: DeclaredMirror): void {
  for (const leg of mirror.legs) {
    const standInName = nameOfStandIn(name, mirror, leg);
    if (readMappedDevice(standInName)?.openCount === 0) removeDevice(standInName);
  }
}

/** Legs in whose place a stand-in is, though they are there again. */
export function returnedLegs({ name, mirror }: DeclaredMirror): string[] {
  const away = absentLegs(mirror);
  const hasStandIn = (leg: string) => (readMappedDevice(nameOfStandIn(name, mirror, leg))?.openCount ?? 0) > 0;
  return mirror.legs.filter((leg) => !away.includes(leg) && hasStandIn(leg));
}

function standIn(name: string, mirror: MirrorFile, leg: string): string {
  const offset = offsetSectors(leg);
  return linkPath(nameOfStandIn(name, mirror, leg)) + (offset === 0 ? "" : `:${offset}s`);
}

function nameOfStandIn(name: string, { legs }: MirrorFile, leg: string): string {
  return `${name}-absent-${legs.indexOf(leg)}`;
}

function offsetSectors(leg: string): number {
  const offset = leg.slice(legDevice(leg).length + 1);
  return offset === "" || /^0+[skmgt]$/i.test(offset) ? 0 : parseSectors(offset, "Offset");
}

export type MirrorState =
  | { state: "down" }
  | { state: "up" | "suspended" | "unfinished"; device: MappedDevice }
  | { state: "differs"; device: MappedDevice; differences: string[]; isOurs: boolean };

/** What the kernel has by the name of a declared mirror. Throws with `errno`. */
export async function stateOf(declared: DeclaredMirror): Promise<MirrorState> {
  const { name, mirror } = declared;
  const device = readMappedDevice(name);
  if (device === undefined) return { state: "down" };
  const [target] = device.live;
  // Made, and never started: whoever made it was killed.
  if (target === undefined) return { state: "unfinished", device };
  const found = await differencesFrom(declared, target);
  if (found.length === 0) return { state: device.isSuspended ? "suspended" : "up", device };
  const isOurs = device.uuid === deviceUuid(mirror) || wholeMirror(target)?.table.uuid === mirror.uuid;
  return { state: "differs", device, isOurs, differences: found };
}

/** In what a table that the kernel has differs from a mirror's file, as sentences. */
export async function differencesFrom(declared: DeclaredMirror, target: Target): Promise<string[]> {
  const { mirror } = declared;
  const live = wholeMirror(target);
  const names = new Set(mirror.legs.map((leg) => legDevice(leg)));
  const find = (name: string) => findIfThere(THIS_MACHINE, name) ?? (names.has(name) ? absent(name) : undefined);
  const wanted = wholeMirror(targetOf(uncheckedTableLine(mirror.legs, tableOptions(mirror), find)));
  if (live === undefined || wanted === undefined) return [`It is no mirror, but: ${target.type} ${target.text}`];
  return differences(live, wanted, identifier(declared));
}

/** Knows a device by its numbers, and a leg whose stand-in is in its place by those of the stand-in. */
export function identifier({ name, mirror }: DeclaredMirror): (device: string) => string {
  const known = new Map<string, string>();
  for (const leg of mirror.legs) {
    const standIn = readMappedDevice(nameOfStandIn(name, mirror, leg));
    if (standIn !== undefined && standIn.openCount > 0) known.set(legDevice(leg), standIn.numbers);
  }
  return (device) => known.get(device) ?? findIfThere(THIS_MACHINE, device)?.numbers ?? device;
}

/** Enough of a device that is not there to know where its name ends. */
function absent(name: string): Device {
  return { name, numbers: null, inode: null, sizeBytes: 0 };
}

function wholeMirror({ type, text, lengthSectors }: Target): WholeMirror | undefined {
  const table = type === "mirror" ? parseMirrorTable(text) : undefined;
  return table === undefined ? undefined : { lengthSectors, table };
}
