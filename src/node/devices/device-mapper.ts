// Reads the kernel's device-mapper tables: which mirrors have a userspace log, and where their legs are.
//
// What lies behind the head of an answer (device-mapper-calls.ts):
//
//   list of devices   +0 device u64   +8 bytes to the next one, 0 for the last, u32   +12 name
//   target types      +0 bytes to the next one, 0 for the last, u32   +4 version u32[3]   +16 name
//   table             +8 sectors u64   +20 end of its text, counted from the first target, u32   +24 type char[16]   +40 text

import { call, DM, flagsOf, withControl } from "./device-mapper-calls.ts";

const ENXIO_GONE = -6;

/** A mirror with a userspace log. */
export interface UserspaceMirror {
  uuid: string;
  /** `major:minor` of each leg. */
  legs: string[];
}

export interface Target {
  type: string;
  text: string;
  lengthSectors: number;
}

/** A line of a device's table, and the device's name. */
export interface TableLine extends Target {
  name: string;
  /** Whether the table is live. Otherwise it was loaded and waits for a resume. */
  isLive: boolean;
  /** Whether the device is suspended: its writes wait. */
  isSuspended: boolean;
}

/**
 * Every mirror with a userspace log in the live and the inactive tables: while a table is reloaded, two may have the
 * same UUID. Throws with `errno`: -ENODEV if the kernel has no device-mapper.
 */
export function findUserspaceMirrors(): UserspaceMirror[] {
  const mirrors: UserspaceMirror[] = [];
  for (const { type, text } of readTables()) {
    const mirror = type === "mirror" ? parseUserspaceMirror(text) : undefined;
    if (mirror !== undefined) mirrors.push(mirror);
  }
  return mirrors;
}

/**
 * UUIDs of the userspace logs that any of these lines names, in whatever target. Throws where a mirror's line does not say
 * which log it has: who acts on what is missing here must not be deceived.
 */
export function logUuids(lines: readonly TableLine[]): string[] {
  return lines.flatMap(({ name, type, text }) => {
    const words = text.trim().split(/\s+/);
    const uuids = words.flatMap((word, index) => (word === "userspace" ? (words[index + 2] ?? "") : []));
    if (uuids.includes("") || (type === "mirror" && words[0] === "")) {
      throw new Error(`The table of ${name} is cut off: ${text}`);
    }
    return uuids;
  });
}

/** The live and the inactive tables of all devices. The kernel returns them without asking a server. Throws with `errno`. */
export function readTables(): TableLine[] {
  return withControl((control) => {
    const lines: TableLine[] = [];
    for (const { device, name } of parseDevices(call(control, { command: DM.LIST_DEVICES }))) {
      for (const isLive of [true, false]) {
        const flags = isLive ? DM.STATUS_TABLE : DM.STATUS_TABLE | DM.QUERY_INACTIVE;
        const answer = tableOf(control, device, flags);
        if (answer === undefined) continue;
        const isSuspended = (flagsOf(answer) & DM.SUSPEND) !== 0;
        for (const target of parseTargets(answer)) lines.push({ ...target, name, isLive, isSuspended });
      }
    }
    return lines;
  });
}

/** Names of the target types that the kernel has now, such as `mirror`; it may load others on demand. */
export function readTargetTypes(): string[] {
  return withControl((control) => parseTargetTypes(call(control, { command: DM.LIST_VERSIONS })));
}

/** The names in an answer to "list versions". */
export function parseTargetTypes(answer: Buffer): string[] {
  const names: string[] = [];
  let at = answer.readUInt32LE(16);
  for (let next = 1; next !== 0 && at + 16 <= answer.length; at += next) {
    next = answer.readUInt32LE(at);
    names.push(characters(answer, at + 16, answer.length));
  }
  return names;
}

/** The devices in an answer to "list devices". */
export function parseDevices(answer: Buffer): { device: bigint; name: string }[] {
  const devices: { device: bigint; name: string }[] = [];
  let at = answer.readUInt32LE(16);
  // Without devices there is one record of zeros.
  for (let next = 1; next !== 0 && at + 12 <= answer.length; at += next) {
    const device = answer.readBigUInt64LE(at);
    if (device !== 0n) devices.push({ device, name: characters(answer, at + 12, answer.length) });
    next = answer.readUInt32LE(at + 8);
  }
  return devices;
}

/** The targets in an answer to "table status". */
export function parseTargets(answer: Buffer): Target[] {
  const start = answer.readUInt32LE(16);
  const targets: Target[] = [];
  let at = start;
  for (let left = answer.readUInt32LE(20); left > 0; left--) {
    const end = start + answer.readUInt32LE(at + 20);
    targets.push({
      type: characters(answer, at + 24, at + 40),
      text: characters(answer, at + 40, end),
      lengthSectors: Number(answer.readBigUInt64LE(at + 8)),
    });
    at = end;
  }
  return targets;
}

/** `userspace <argc> <UUID> … <#legs> {<major:minor> <offset>} …`, or undefined for a log of another type. */
export function parseUserspaceMirror(text: string): UserspaceMirror | undefined {
  const [log, argumentCount, uuid, ...rest] = text.trim().split(/\s+/);
  if (log !== "userspace" || uuid === undefined) return undefined;
  const afterLog = rest.slice(Number(argumentCount) - 1);
  const legCount = Number(afterLog[0]);
  const legs = afterLog.slice(1, 1 + 2 * legCount).filter((_, index) => index % 2 === 0);
  if (legs.length !== legCount || !legs.every((leg) => /^\d+:\d+$/.test(leg))) return undefined;
  return { uuid, legs };
}

function tableOf(control: number, device: bigint, flags: number): Buffer | undefined {
  try {
    return call(control, { command: DM.TABLE_STATUS, device, flags });
  } catch (error) {
    // The device was removed after it was listed.
    if ((error as NodeJS.ErrnoException).errno === ENXIO_GONE) return undefined;
    throw error;
  }
}

/** Characters up to a NUL. */
function characters(buffer: Buffer, start: number, end: number): string {
  const text = buffer.toString("latin1", start, end);
  const nul = text.indexOf("\0");
  return nul < 0 ? text : text.slice(0, nul);
}
