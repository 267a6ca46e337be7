// dm-ulog create: declares a mirror in a file and brings it up. What would destroy something is refused as `dm-ulog table` refuses it.
//
// The file comes first. Whoever is cut off in between finds a mirror that is declared and down: to bring it up then resyncs all of it from
// its first leg, which is what was asked for, or safe where --nosync was.

import { existsSync } from "node:fs";
import { THIS_MACHINE } from "../node/devices/block-devices.ts";
import { createDevice, linkPath, readMappedDevice } from "../node/devices/mapped-device.ts";
import { formatMirrorFile, type LOG_FAILURES, type MirrorFile } from "../node/mirrors/mirror-file.ts";
import {
  checkMirrorName,
  declaredNames,
  deleteDeclared,
  mirrorPath,
  withMirrorsLocked,
  writeDeclared,
} from "../node/mirrors/mirror-files.ts";
import { deviceUuid, targetOf } from "./declared.ts";
import { deviceSentence } from "./device-sentence.ts";
import { tellUdev } from "./leg-rules.ts";
import { enableMonitor, enableUnit, startUnits } from "./mirror-units.ts";
import { checkNewDevice } from "./new-device.ts";
import { formatSectors } from "./sizes.ts";
import { stableDevice, stableLeg } from "./stable-device.ts";
import { checkedTableLine, logsInUse, type TableOptions } from "./table.ts";

const LOCK_WAIT_MS = 10_000;

export interface CreateOptions extends TableOptions {
  mirrorsDir: string;
  spare: string[];
  takeBack: boolean;
  logFailure: (typeof LOG_FAILURES)[number];
  program?: string;
  boot: boolean;
  dryRun?: boolean;
}

export async function create(name: string, legs: string[], options: CreateOptions): Promise<void> {
  checkMirrorName(name);
  if (options.dryRun === true) {
    await createLocked(name, legs, options);
    return;
  }
  const { boot, mirrorsDir } = options;
  await withMirrorsLocked(mirrorsDir, LOCK_WAIT_MS, () => createLocked(name, legs, options));
  await tellUdev(mirrorsDir);
  // Not before: what systemd starts locks the mirrors too.
  const sentence = boot ? await enableUnit(name, mirrorsDir) : await startUnits([name], mirrorsDir);
  const watched = boot ? await enableMonitor(declaredNames(mirrorsDir).length === 1, mirrorsDir) : undefined;
  for (const one of [sentence, watched]) if (one !== undefined) console.error(`dm-ulog: ${one}`);
}

async function createLocked(name: string, legs: string[], options: CreateOptions): Promise<void> {
  const path = mirrorPath(options.mirrorsDir, name);
  if (existsSync(path))
    throw new Error(`The mirror ${name} is declared already, in ${path}. Choose another name, or: dm-ulog up ${name}`);
  if (options.dryRun !== true && readMappedDevice(name) !== undefined) {
    throw new Error(
      `There is a device ${linkPath(name)} already. Choose another name, or remove it: dmsetup remove ${name}`,
    );
  }
  const logDevice = options.logDevice === undefined ? undefined : stableDevice(options.logDevice);
  const stableLegs = legs.map(stableLeg);
  for (const spare of options.spare) checkNewDevice("spare", spare, options);
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
    logLegs: logDevice === undefined ? undefined : stableLegs,
    legFailure: options.legFailure,
    integratedFlush: options.integratedFlush === true,
    blockOnError: options.blockOnError === true,
    spares: options.spare.map(stableDevice),
    behind: options.nosync === true ? [] : stableLegs.slice(1),
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
