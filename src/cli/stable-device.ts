// The names that devices have in a mirror's file.

import { findDevice, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { stableName } from "../node/devices/stable-names.ts";
import { parseSectors } from "./sizes.ts";

/** Says so where a device has no name that stays: the file would mean another one after a boot. */
export function stableDevice(name: string): string {
  const device = findDevice(THIS_MACHINE, name);
  if (device === undefined) return name;
  const found = stableName(device);
  if (found === undefined) {
    console.error(
      `dm-ulog: ${name} has no name in /dev/disk/by-id. If the kernel calls another device so after a boot, change the file.`,
    );
  }
  return found ?? name;
}

/** A leg with its offset, if it has one, in sectors. */
export function stableLeg(text: string): string {
  if (findDevice(THIS_MACHINE, text) !== undefined) return stableDevice(text);
  const match = /^(.+):([0-9]+[skmgt]?)$/i.exec(text);
  if (match === null) return text;
  const [, name = "", offset = ""] = match;
  if (/^0+[skmgt]?$/i.test(offset)) return stableDevice(name);
  return `${stableDevice(name)}:${parseSectors(offset, "Offset")}s`;
}
