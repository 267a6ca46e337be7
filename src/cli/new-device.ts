// Whether a device may become a leg or a spare of a mirror that exists: a resync overwrites it.

import { type Device, findDevice, type Machine, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { useDoubts } from "./table-checks.ts";

/**
 * Returns the device. Throws sentences where it is not there or is a file, and without `force` where it is in use or holds something.
 */
export function checkNewDevice(
  role: "leg" | "spare",
  name: string,
  { force }: { force?: boolean },
  machine: Machine = THIS_MACHINE,
): Device {
  const device = findDevice(machine, name);
  if (device === undefined) throw new Error(`${name} is not there. Name a ${role} that is.`);
  if (device.inode !== null)
    throw new Error(`The ${role} ${name} is a file. Name a block device, or make one of it: losetup.`);
  if (force === true) return device;
  const title = `The ${role} ${name}`;
  const doubts = useDoubts(machine, title, device);
  const { signatures, logRegions } = machine.contents(device);
  const held = [...signatures, ...(logRegions === null ? [] : [`the log of a mirror of ${logRegions} regions`])];
  if (held.length > 0) {
    doubts.push(
      `${title} holds ${held.join(" and ")}. A resync overwrites it. Clear it (wipefs --all ${name}) or give --force if nobody needs it.`,
    );
  }
  if (doubts.length > 0) throw new Error(doubts.join("\n"));
  return device;
}
