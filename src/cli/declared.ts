// A mirror between its file and the kernel: the table line that its file means, and what the kernel has in its place.

import { parseMirrorTable } from "../node/control/machine.ts";
import { findIfThere, type Machine, THIS_MACHINE } from "../node/devices/block-devices.ts";
import type { Target } from "../node/devices/device-mapper.ts";
import { type MappedDevice, readMappedDevice } from "../node/devices/mapped-device.ts";
import { differences, type WholeMirror } from "../node/mirrors/mirror-difference.ts";
import type { MirrorFile } from "../node/mirrors/mirror-file.ts";
import type { DeclaredMirror } from "../node/mirrors/mirror-files.ts";
import { checkedTableLine, type TableOptions, uncheckedTableLine } from "./table.ts";
import type { LogInUse } from "./table-checks.ts";

/** Of device-mapper's UUIDs: tells our devices from those of other programs. */
const DEVICE_UUID_PREFIX = "DMULOG-";
const DEVICE_UUID_CHARACTERS_MAX = 128;

export function tableOptions(mirror: MirrorFile): TableOptions & { length: string } {
  const { uuid, size, regionSize, logDevice, logType, legFailure, integratedFlush, blockOnError } = mirror;
  return {
    ...{ uuid, length: size, regionSize, legFailure, integratedFlush, blockOnError },
    ...(logDevice === undefined ? {} : { logDevice }),
    ...(logType === undefined ? {} : { logType }),
  };
}

/**
 * What to load for a declared mirror that does not exist. Throws sentences where its devices are not fit for it: too small, one within
 * the other, or in use.
 */
export async function declaredTarget({ mirror }: DeclaredMirror, inUse: readonly LogInUse[]): Promise<Target> {
  const options = { ...tableOptions(mirror), isDeclared: true };
  return targetOf((await checkedTableLine(mirror.legs, options, THIS_MACHINE, inUse)).line);
}

/** A table line as the kernel is given it. */
export function targetOf(line: string): Target {
  const [, lengthSectors = "", type = "", ...words] = line.split(" ");
  return { type, text: words.join(" "), lengthSectors: Number(lengthSectors) };
}

export function deviceUuid({ uuid }: MirrorFile): string {
  return (DEVICE_UUID_PREFIX + uuid).slice(0, DEVICE_UUID_CHARACTERS_MAX);
}

/** Devices of a mirror that are not on this machine now. */
export function missingDevices({ legs, logDevice }: MirrorFile, machine: Machine = THIS_MACHINE): string[] {
  const isThere = (name: string) =>
    findIfThere(machine, name.replace(/:[0-9]+[skmgt]?$/i, "")) ?? findIfThere(machine, name);
  return [...legs, ...(logDevice === undefined ? [] : [logDevice])].filter((name) => isThere(name) === undefined);
}

export type MirrorState =
  | { state: "down" }
  | { state: "up" | "suspended" | "unfinished"; device: MappedDevice }
  | { state: "differs"; device: MappedDevice; differences: string[]; isOurs: boolean };

/** What the kernel has by the name of a declared mirror. Throws with `errno`. */
export async function stateOf({ name, mirror }: DeclaredMirror): Promise<MirrorState> {
  const device = readMappedDevice(name);
  if (device === undefined) return { state: "down" };
  const [target] = device.live;
  // Made, and never started: whoever made it was killed.
  if (target === undefined) return { state: "unfinished", device };
  const live = wholeMirror(target);
  const declared = wholeMirror(targetOf(await uncheckedTableLine(mirror.legs, tableOptions(mirror))));
  const isOurs = device.uuid === deviceUuid(mirror) || live?.table.uuid === mirror.uuid;
  if (live === undefined || declared === undefined) {
    return { state: "differs", device, isOurs, differences: [`It is no mirror, but: ${target.type} ${target.text}`] };
  }
  const found = differences(live, declared, (device) => findIfThere(THIS_MACHINE, device)?.numbers ?? device);
  if (found.length > 0) return { state: "differs", device, isOurs, differences: found };
  return { state: device.isSuspended ? "suspended" : "up", device };
}

function wholeMirror({ type, text, lengthSectors }: Target): WholeMirror | undefined {
  const table = type === "mirror" ? parseMirrorTable(text) : undefined;
  return table === undefined ? undefined : { lengthSectors, table };
}
