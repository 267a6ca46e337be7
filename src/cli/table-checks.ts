// What dm-ulog table says of the devices it is given. The line must not destroy anything that its reader did not mean.

import { type Device, type Machine, usesOf } from "../node/devices/block-devices.ts";
import { clearLog } from "../node/devices/log-header.ts";
import { namedDevices, overlaps } from "../node/devices/mirror-devices.ts";
import type { Contents } from "../node/devices/signatures.ts";
import { formatBytes, SECTOR_BYTES } from "./sizes.ts";

/** A mirror that is asked for, with those of its devices that are on this machine. */
export interface WantedMirror {
  /** In the order of the line; undefined for one that is not here. */
  legs: { name: string; offsetSectors: number; device: Device | undefined }[];
  log: { name: string; device: Device | undefined; bytesNeeded: number } | undefined;
  /** Of its log. */
  uuid: string;
  lengthSectors: number;
  regionCount: number;
  /** Whether the log on its device is not believed, since the line says `sync` or `nosync`. */
  isLogNew: boolean;
  /** Whether the legs count as identical. */
  isNosync: boolean;
  /** Whether the devices were checked when the mirror was declared: what they hold is the mirror's own. */
  isDeclared: boolean;
}

/** Sentences; each is one thing to know. */
export interface Verdict {
  /** The line would be wrong whatever is meant. */
  refusals: string[];
  /** The line would destroy something, or may; `--force` says that it is meant. */
  doubts: string[];
  notes: string[];
}

/** A log device that a mirror of this machine has already. */
export interface LogInUse {
  mirror: string;
  uuid: string | undefined;
  device: Device;
}

export function examineMirror(machine: Machine, wanted: WantedMirror, logsInUse: readonly LogInUse[]): Verdict {
  const verdict: Verdict = { refusals: [], doubts: [], notes: [] };
  const devices = { legs: wanted.legs.flatMap(({ device }) => device ?? []), log: wanted.log?.device };
  for (const sentence of overlaps(machine, devices)) {
    verdict.refusals.push(`${sentence} Name devices that have nothing in common.`);
  }
  examineSizes(wanted, verdict);
  for (const { title, device } of namedDevices(devices)) verdict.doubts.push(...useDoubts(machine, title, device));
  for (const { mirror } of wanted.log === undefined ? [] : logsInUse.filter((other) => isSameFile(wanted, other))) {
    verdict.doubts.push(
      `The log file ${wanted.log?.name} is the log of the mirror ${mirror}: each would overwrite the other's. Name a file of ` +
        "its own, or give --force if the line is to be loaded in that mirror's place.",
    );
  }
  if (!wanted.isDeclared) examineContents(machine, wanted, verdict);
  for (const { name, device } of [...wanted.legs, ...(wanted.log === undefined ? [] : [wanted.log])]) {
    if (device === undefined) verdict.notes.push(`${name} is not on this machine, so it was not checked.`);
  }
  return verdict;
}

const USE_REMEDIES = {
  mount: "Unmount it first, or give --force if it must stay so.",
  swap: "Take it out of use first (swapoff), or give --force if it must stay so.",
  holder: "Remove what uses it first, or give --force if the line is to be loaded in its place.",
} as const;

/** Who uses a device that a mirror is to have, as sentences. */
export function useDoubts(machine: Machine, title: string, device: Device): string[] {
  return usesOf(machine, device).map(({ kind, what }) => `${title} ${what}. ${USE_REMEDIES[kind]}`);
}

/** A device that is a log already has a holder, and is told of by that; a file has none. A mirror's own log is its log. */
function isSameFile({ uuid, log }: WantedMirror, other: LogInUse): boolean {
  const inode = log?.device?.inode ?? null;
  return inode !== null && inode === other.device.inode && uuid !== other.uuid;
}

function examineSizes({ legs, log, lengthSectors }: WantedMirror, { refusals, notes }: Verdict): void {
  const room = ({ device, offsetSectors }: WantedMirror["legs"][number]) =>
    device === undefined ? Number.POSITIVE_INFINITY : device.sizeBytes / SECTOR_BYTES - offsetSectors;
  for (const leg of legs) {
    if (room(leg) >= lengthSectors) continue;
    refusals.push(
      `The leg ${leg.name} has room for ${Math.max(0, room(leg))} sectors, and the mirror has ${lengthSectors}. Give a ` +
        "smaller --length or offset, or a larger leg.",
    );
  }
  // Where every leg is larger, the length was asked for, and what is left over is meant.
  const isSmallestFilled = legs.some((leg) => room(leg) === lengthSectors);
  for (const leg of isSmallestFilled ? legs : []) {
    const leftBytes = (room(leg) - lengthSectors) * SECTOR_BYTES;
    if (leg.device === undefined || leftBytes <= 0) continue;
    notes.push(
      `The mirror is as large as its smallest leg: the last ${formatBytes(leftBytes)} of ${leg.name} are not used.`,
    );
  }
  if (log?.device !== undefined && log.device.sizeBytes < log.bytesNeeded) {
    refusals.push(
      `The log device ${log.name} has ${log.device.sizeBytes} bytes, and the log needs ${log.bytesNeeded}. Give a larger ` +
        "one, or larger regions: dm-ulog plan proposes a size.",
    );
  }
}

function examineContents(machine: Machine, wanted: WantedMirror, verdict: Verdict): void {
  let isByBlkid = true;
  const read = (title: string, device: Device): Contents | undefined => {
    try {
      const contents = machine.contents(device);
      isByBlkid &&= contents.byBlkid;
      return contents;
    } catch (error) {
      verdict.doubts.push(
        `${title} cannot be read (${(error as Error).message}), so what it holds is unknown. Run this as root, or give --force.`,
      );
      return undefined;
    }
  };
  for (const [index, { name, device }] of wanted.legs.entries()) {
    const contents = device === undefined ? undefined : read(`The leg ${name}`, device);
    if (contents !== undefined) verdict.doubts.push(...legDoubts(name, contents, index === 0, wanted.isNosync));
  }
  const { log } = wanted;
  if (log?.device !== undefined) {
    const contents = read(`The log device ${log.name}`, log.device);
    if (contents !== undefined) examineLogContents(log.name, log.device, contents, wanted, verdict);
  }
  if (!isByBlkid) {
    verdict.notes.push(
      "There is no blkid here, so only the most common signatures were looked for. Install util-linux to have all of them checked.",
    );
  }
}

function legDoubts(name: string, contents: Contents, isFirst: boolean, isNosync: boolean): string[] {
  const { signatures, logRegions } = contents;
  const held = [...signatures, ...(logRegions === null ? [] : [`the log of a mirror of ${logRegions} regions`])];
  if (held.length === 0) return [];
  const fate = isNosync
    ? "Writes to the mirror change it on all legs alike. Give --force if the legs are identical."
    : isFirst
      ? "As the first leg it is kept and copied over the others. Give --force if that is meant."
      : `The first resync overwrites it. Clear it (${signatures.length > 0 ? `wipefs --all ${name}` : clearLog(name)}) or give --force if nobody needs it.`;
  return [`The leg ${name} holds ${held.join(" and ")}. ${fate}`];
}

function examineLogContents(
  name: string,
  device: Device,
  { signatures, logRegions, logOwner, isBlank }: Contents,
  { uuid, regionCount, isLogNew }: WantedMirror,
  { doubts, notes }: Verdict,
): void {
  if (signatures.length > 0) {
    doubts.push(
      `The log device ${name} holds ${signatures.join(" and ")}. The log overwrites it. Clear it (wipefs --all ${name}) ` +
        "or give --force if nobody needs it.",
    );
  } else if (logRegions === null) {
    if (device.inode !== null && !isBlank) {
      doubts.push(
        `The log file ${name} holds something that is no log. The log overwrites it. Name an empty file ` +
          "(truncate --size 4M FILE makes one), or give --force if nobody needs it.",
      );
    }
  } else if (logOwner !== null && logOwner !== uuid) {
    doubts.push(
      `The log device ${name} holds the log of the mirror ${logOwner}, which loses it. This mirror does not believe it` +
        `${isLogNew ? "" : ", and is resynced"}. Name another device, give --force, or if the mirror is the same under another ` +
        `UUID: dm-ulog adopt ${name} ${uuid}`,
    );
  } else if (isLogNew) {
    notes.push(`The log device ${name} holds the log of a mirror of ${logRegions} regions, which is discarded.`);
  } else if (logRegions === regionCount) {
    notes.push(
      `The log device ${name} holds a log of ${logRegions} regions. It is believed when the mirror starts: regions that are ` +
        `clean in it are not resynced.${logOwner === null ? " If it is another mirror's, give --sync." : ""}`,
    );
  } else {
    doubts.push(
      `The log device ${name} holds the log of a mirror of ${logRegions} regions; this one has ${regionCount}. It is believed ` +
        "as far as it goes. Give --sync to discard it, or --force if the mirror's size was changed.",
    );
  }
}
