// Makes, changes and removes a device of device-mapper, as `dmsetup` does, and lets udev do its part.

import { existsSync, rmSync, symlinkSync } from "node:fs";
import { parseTargets, type Target } from "./device-mapper.ts";
import { call, DM, flagsOf, withControl } from "./device-mapper-calls.ts";
import { UdevCookie, udevAnswers } from "./udev-cookie.ts";

const ENXIO_GONE = -6;

export interface MappedDevice {
  uuid: string;
  /** `major:minor`. */
  numbers: string;
  isSuspended: boolean;
  /** How often it is open: mounted, used as swap, under another mapping, or opened by a program. */
  openCount: number;
  /** Grows with each event, such as a failed leg. */
  eventNumber: number;
  live: Target[];
  /** Loaded, and waits for a resume. */
  inactive: Target[];
}

/** What the kernel has of a device by this name, without asking a server. Undefined where it has none. Throws with `errno`. */
export function readMappedDevice(name: string): MappedDevice | undefined {
  try {
    return withControl((control) => {
      const answer = call(control, { command: DM.DEV_STATUS, name });
      const tableOf = (flags: number) =>
        parseTargets(call(control, { command: DM.TABLE_STATUS, name, flags: DM.STATUS_TABLE | flags }));
      const flags = flagsOf(answer);
      return {
        uuid: textAt(answer, 176),
        numbers: numbersText(answer.readBigUInt64LE(40)),
        isSuspended: (flags & DM.SUSPEND) !== 0,
        openCount: answer.readInt32LE(24),
        eventNumber: answer.readUInt32LE(32),
        live: (flags & DM.ACTIVE_PRESENT) === 0 ? [] : tableOf(0),
        inactive: (flags & DM.INACTIVE_PRESENT) === 0 ? [] : tableOf(DM.QUERY_INACTIVE),
      };
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).errno === ENXIO_GONE) return undefined;
    throw error;
  }
}

/** What a mirror's target says of itself. It asks the server, and takes as long as its answer does. Throws with `errno`. */
export function readStatus(name: string): Target[] {
  return withControl((control) => parseTargets(call(control, { command: DM.TABLE_STATUS, name })));
}

/** Makes a device and starts it, or leaves none. Throws with `errno`. */
export function createDevice(name: string, uuid: string, target: Target): void {
  withControl((control) => {
    call(control, { command: DM.DEV_CREATE, name, uuid });
    try {
      call(control, { command: DM.TABLE_LOAD, name, targets: [target] });
      changeWithEvent(control, { command: DM.DEV_SUSPEND, name });
    } catch (error) {
      call(control, { command: DM.DEV_REMOVE, name });
      throw error;
    }
  });
  makeLink(name);
}

/** Loads a table beside the live one. Throws with `errno`. */
export function loadTable(name: string, target: Target): void {
  withControl((control) => call(control, { command: DM.TABLE_LOAD, name, targets: [target] }));
}

/** Drops a table that was loaded and is not live yet. Throws with `errno`. */
export function clearTable(name: string): void {
  withControl((control) => call(control, { command: DM.TABLE_CLEAR, name }));
}

/** Writes wait from now on. With `isFlushing` those that wait already get through first, else they go on waiting. Throws with `errno`. */
export function suspendDevice(name: string, { isFlushing }: { isFlushing: boolean }): void {
  const flags = DM.SUSPEND | (isFlushing ? 0 : DM.NOFLUSH);
  withControl((control) => call(control, { command: DM.DEV_SUSPEND, name, flags }));
}

/** Goes on, with the table that was loaded if there is one. Throws with `errno`. */
export function resumeDevice(name: string): void {
  withControl((control) => changeWithEvent(control, { command: DM.DEV_SUSPEND, name }));
  makeLink(name);
}

/** Throws with `errno`: -EBUSY where it is open. */
export function removeDevice(name: string): void {
  withControl((control) => changeWithEvent(control, { command: DM.DEV_REMOVE, name }));
  // A udev that is about to end may still remove it.
  if (!udevAnswers()) rmSync(linkPath(name), { force: true });
}

export function linkPath(name: string): string {
  return `/dev/mapper/${name}`;
}

/** A change that udev acts on; this returns when it has. */
function changeWithEvent(control: number, change: { command: number; name: string }): void {
  if (!udevAnswers()) {
    call(control, change);
    return;
  }
  const cookie = new UdevCookie();
  let hasEvent = false;
  try {
    hasEvent = (flagsOf(call(control, { ...change, cookie: cookie.begin() })) & DM.UEVENT_GENERATED) !== 0;
  } finally {
    if (!hasEvent) cookie.takeBack();
    cookie.finish();
  }
}

/** What udev's rules do where it runs. */
function makeLink(name: string): void {
  if (existsSync(linkPath(name))) return;
  const device = readMappedDevice(name);
  if (device === undefined) return;
  rmSync(linkPath(name), { force: true });
  symlinkSync(`../dm-${device.numbers.split(":")[1]}`, linkPath(name));
}

function numbersText(device: bigint): string {
  // As the kernel's huge_encode_dev.
  const low = Number(device & 0xffff_ffffn);
  return `${(low >>> 8) & 0xfff}:${(low & 0xff) | ((low >>> 12) & 0xfff00)}`;
}

function textAt(answer: Buffer, start: number): string {
  const text = answer.toString("latin1", start, start + 129);
  return text.slice(0, text.indexOf("\0"));
}
