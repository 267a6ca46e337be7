// The name under which a device is found again after a boot. The kernel gives /dev/sda to whichever disk answers first; udev's links in
// /dev/disk/by-id go by what the device says of itself.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Device, findIfThere, type Machine, THIS_MACHINE } from "./block-devices.ts";

const BY_ID = "/dev/disk/by-id";
const STABLE_FOLDERS = ["/dev/disk/", "/dev/mapper/"];
/** Those that people know from the disk's label come first. */
const KINDS = ["nvme-", "ata-", "scsi-", "virtio-", "usb-", "mmc-", "md-name-", "wwn-", ""];

/** Another name of the device that stays, the same name where that stays, or undefined where it has none. */
export function stableName(
  { name, numbers }: Device,
  machine: Machine = THIS_MACHINE,
  byId = BY_ID,
): string | undefined {
  // A file's path stays.
  if (numbers === null || STABLE_FOLDERS.some((folder) => name.startsWith(folder))) return name;
  const mapping = mappingName(machine, numbers);
  if (mapping !== undefined) return `/dev/mapper/${mapping}`;
  const rank = (link: string) => KINDS.findIndex((kind) => link.startsWith(kind));
  const links = linksIn(byId).filter((link) => findIfThere(machine, join(byId, link))?.numbers === numbers);
  links.sort((a, b) => rank(a) - rank(b) || a.length - b.length || (a < b ? -1 : 1));
  return links[0] === undefined ? undefined : join(byId, links[0]);
}

function linksIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function mappingName(machine: Machine, numbers: string): string | undefined {
  try {
    return readFileSync(join(machine.sys, "dev/block", numbers, "dm/name"), "utf8").trim();
  } catch {
    return undefined;
  }
}
