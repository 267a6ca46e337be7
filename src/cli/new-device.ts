// Whether a device may become a leg or a spare of a mirror that exists: a resync overwrites it.

import { type Device, findDevice, type Machine, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { useDoubts } from "./table-checks.ts";

export interface NewDeviceOptions {
  /** Whether it is taken though it is in use or holds something. */
  force?: boolean;
  /** Whether what it holds may go: a spare was looked at when it became one. */
  mayHoldData?: boolean;
}

/** Throws sentences where a device is not there, is a file, is in use or holds something. */
export function checkNewDevice(
  role: "leg" | "spare",
  name: string,
  { force, mayHoldData }: NewDeviceOptions,
  machine: Machine = THIS_MACHINE,
): void {
  const device = findDevice(machine, name);
  if (device === undefined) throw new Error(`${name} is not there. Name a ${role} that is.`);
  if (device.inode !== null)
    throw new Error(`The ${role} ${name} is a file. Name a block device, or make one of it: losetup.`);
  if (force === true) return;
  const title = `The ${role} ${name}`;
  const doubts = useDoubts(machine, title, device);
  if (mayHoldData !== true) doubts.push(...dataDoubts(machine, title, device));
  if (doubts.length > 0) throw new Error(doubts.join("\n"));
}

function dataDoubts(machine: Machine, title: string, device: Device): string[] {
  const { signatures, logRegions } = machine.contents(device);
  const held = [...signatures, ...(logRegions === null ? [] : [`the log of a mirror of ${logRegions} regions`])];
  if (held.length === 0) return [];
  return [
    `${title} holds ${held.join(" and ")}. A resync overwrites it. Clear it (wipefs --all ${device.name}) or give --force if nobody needs it.`,
  ];
}
