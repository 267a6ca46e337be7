// dm-ulog create: declares a mirror in a file and brings it up. What would destroy something is refused as `dm-ulog table` refuses it.
//
// The file comes first. Whoever is cut off in between finds a mirror that is declared and down: to bring it up then resyncs all of it from
// its first leg, which is what was asked for, or safe where --nosync was.

import { existsSync } from "node:fs";
import { findDevice, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { createDevice, linkPath, readMappedDevice } from "../node/devices/mapped-device.ts";
import { stableName } from "../node/devices/stable-names.ts";
import { formatMirrorFile, type LOG_FAILURES, type MirrorFile } from "../node/mirrors/mirror-file.ts";
import { checkMirrorName, deleteDeclared, mirrorPath, writeDeclared } from "../node/mirrors/mirror-files.ts";
import { deviceUuid, targetOf } from "./declared.ts";
import { deviceSentence } from "./device-sentence.ts";
import { formatSectors } from "./sizes.ts";
import { checkedTableLine, logsInUse, type TableOptions } from "./table.ts";

export interface CreateOptions extends TableOptions {
  mirrorsDir: string;
  spare: string[];
  takeBack: boolean;
  logFailure: (typeof LOG_FAILURES)[number];
  program?: string;
  dryRun?: boolean;
}

export async function create(name: string, legs: string[], options: CreateOptions): Promise<void> {
  checkMirrorName(name);
  const path = mirrorPath(options.mirrorsDir, name);
  if (existsSync(path))
    throw new Error(`The mirror ${name} is declared already, in ${path}. Choose another name, or: dm-ulog up ${name}`);
  if (options.dryRun !== true && readMappedDevice(name) !== undefined) {
    throw new Error(
      `There is a device ${linkPath(name)} already. Choose another name, or remove it: dmsetup remove ${name}`,
    );
  }
  const logDevice = options.logDevice === undefined ? undefined : stable(options.logDevice);
  const stableLegs = legs.map(stableLeg);
  const inUse = await logsInUse();
  const tableOptions = { ...options, ...(logDevice === undefined ? {} : { logDevice }) };
  const { line, uuid, lengthSectors, notes } = await checkedTableLine(stableLegs, tableOptions, THIS_MACHINE, inUse);
  const mirror: MirrorFile = {
    uuid,
    legs: stableLegs,
    size: `${lengthSectors}s`,
    regionSize: options.regionSize,
    logDevice,
    logType: options.logType,
    legFailure: options.legFailure,
    integratedFlush: options.integratedFlush === true,
    blockOnError: options.blockOnError === true,
    spares: options.spare.map(stable),
    takeBack: options.takeBack,
    logFailure: options.logFailure,
    program: options.program,
  };
  for (const note of notes) console.error(`dm-ulog: ${note}`);
  const text = formatMirrorFile(name, mirror);
  if (options.dryRun === true) {
    console.log(`This would be ${path}:\n\n${text}\nand this the table:\n\n${line}`);
    return;
  }
  writeDeclared(path, text);
  try {
    createDevice(name, deviceUuid(mirror), targetOf(line));
  } catch (error) {
    deleteDeclared(path);
    throw deviceSentence(`${name} cannot be brought up, and is not declared`, error);
  }
  console.log(`${linkPath(name)} is up: ${formatSectors(lengthSectors)}. It is declared in ${path}.`);
}

/** Says so where a device has no name that stays: the file would mean another one after a boot. */
function stable(name: string): string {
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

/** A leg with its offset, if it has one. */
function stableLeg(text: string): string {
  if (findDevice(THIS_MACHINE, text) !== undefined) return stable(text);
  const match = /^(.+):([0-9]+[skmgt]?)$/i.exec(text);
  return match === null ? text : `${stable(match[1] as string)}:${match[2]}`;
}
