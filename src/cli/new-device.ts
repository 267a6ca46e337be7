// Whether a device may become a leg, a spare or the log of a mirror that exists: it is overwritten.

import { type Device, findDevice, type Machine, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { clearLog } from "../node/devices/log-header.ts";
import { useDoubts } from "./table-checks.ts";

export interface NewDeviceOptions {
  /** Whether it is taken though it is in use or holds something. */
  force?: boolean;
  /** Whether what it holds may go: a spare was looked at when it became one. */
  mayHoldData?: boolean;
}

/** Throws sentences where a device is not there, is a file and no log, is in use or holds something. */
export function checkNewDevice(
  role: "leg" | "spare" | "log",
  name: string,
  { force, mayHoldData }: NewDeviceOptions,
  machine: Machine = THIS_MACHINE,
): void {
  const device = findDevice(machine, name);
  if (device === undefined)
    throw new Error(`${name} is not there. Name a device${role === "log" ? " or a file" : ""} that is.`);
  if (device.inode !== null && role !== "log")
    throw new Error(`The ${role} ${name} is a file. Name a block device, or make one of it: losetup.`);
  if (force === true) return;
  const title = `The ${role} ${name}`;
  const doubts = useDoubts(machine, title, device);
  if (mayHoldData !== true) doubts.push(...dataDoubts(machine, title, device, role === "log" ? "The log" : "A resync"));
  if (doubts.length > 0) throw new Error(doubts.join("\n"));
}

function dataDoubts(machine: Machine, title: string, device: Device, overwriter: string): string[] {
  const { signatures, logRegions } = machine.contents(device);
  const doubts: string[] = [];
  if (signatures.length > 0) {
    doubts.push(
      `${title} holds ${signatures.join(" and ")}. ${overwriter} overwrites it. Clear it (wipefs --all ${device.name}) or give --force if nobody needs it.`,
    );
  }
  if (logRegions !== null) {
    doubts.push(
      `${title} holds the log of a mirror of ${logRegions} regions. ${overwriter} overwrites it. Clear it (${clearLog(device.name)}) or give --force if nobody needs it.`,
    );
  }
  return doubts;
}
