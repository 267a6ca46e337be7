// Finds faults in the devices of a mirror, before it is created (dm-ulog table) or while it exists (dm-ulog doctor).

import { type Device, type Machine, relationOf, usesOf } from "./block-devices.ts";

/** The legs and the log device of one mirror; those that are not on this machine are left out. */
export interface MirrorDevices {
  legs: Device[];
  log: Device | undefined;
}

/** Pairs of devices of one mirror in which a write to one changes the other, as sentences. */
export function overlaps(machine: Machine, { legs, log }: MirrorDevices): string[] {
  const found: string[] = [];
  for (const [index, leg] of legs.entries()) {
    for (const other of legs.slice(0, index)) {
      const relation = relationOf(machine, leg, other);
      if (relation === undefined) continue;
      found.push(
        `The leg ${leg.name} ${relation} the leg ${other.name}: this mirror would hold only one copy of the data.`,
      );
    }
  }
  for (const leg of log === undefined ? [] : legs) {
    const relation = relationOf(machine, log as Device, leg);
    if (relation === undefined) continue;
    found.push(
      `The log device ${log?.name} ${relation} the leg ${leg.name}: the mirror and its log would overwrite each other.`,
    );
  }
  return found;
}

/** Devices of a mirror that hold a mounted file system or are used as swap, as sentences. */
export function mountedDevices(machine: Machine, devices: MirrorDevices): string[] {
  return namedDevices(devices).flatMap(({ title, device }) =>
    usesOf(machine, device)
      .filter(({ kind }) => kind !== "holder")
      .map(({ what }) => `${title} ${what}.`),
  );
}

/** Each device with what a sentence calls it at its beginning. */
export function namedDevices({ legs, log }: MirrorDevices): { title: string; device: Device }[] {
  return [
    ...legs.map((device) => ({ title: `The leg ${device.name}`, device })),
    ...(log === undefined ? [] : [{ title: `The log device ${log.name}`, device: log }]),
  ];
}
