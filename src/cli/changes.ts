// dm-ulog replace, add-leg, drop-leg, grow and change-log: what each changes, told before it is done.

import { findDevice, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { type MirrorFile, type MirrorFileChange, withoutDuplicates } from "../node/mirrors/mirror-file.ts";
import { readDeclared, withMirrorsLocked } from "../node/mirrors/mirror-files.ts";
import { isServed } from "../node/requests/netlink-sockets.ts";
import { applyChange, type Change, changed, type Reached, settle, withoutCaughtUp } from "./change.ts";
import { legDevice, stateOf } from "./declared.ts";
import { NO_SERVER } from "./device-sentence.ts";
import { tellUdev } from "./leg-rules.ts";
import { checkNewDevice } from "./new-device.ts";
import { formatBytes, formatSectors, parseSectors, SECTOR_BYTES } from "./sizes.ts";
import { stableDevice, stableLeg } from "./stable-device.ts";

export interface ChangeOptions {
  mirrorsDir: string;
  force?: boolean;
  dryRun?: boolean;
  reached?: Reached;
}

export interface GrowOptions extends ChangeOptions {
  size?: string;
}

export interface ChangeLogOptions extends ChangeOptions {
  memory?: boolean;
}

/** What is to become of a mirror, and the sentences that say so. */
interface Plan extends Change {
  sentences: string[];
}

const LOCK_WAIT_MS = 10_000;

export function replaceLeg(name: string, old: string, device: string, options: ChangeOptions): Promise<void> {
  return change(name, options, (mirror) => {
    const leg = legCalled(mirror, old);
    checkNewDevice("leg", device, options);
    return replacement(mirror, leg, stableLeg(device));
  });
}

/** One leg in the place of another, at the same place of the list. */
export function replacement(mirror: MirrorFile, old: string, leg: string): Plan {
  return {
    file: {
      legs: mirror.legs.map((one) => (one === old ? leg : one)),
      behind: withoutDuplicates([...mirror.behind.filter((one) => one !== old), leg]),
      ...withoutSpare(mirror, leg),
    },
    isLogNew: true,
    sentences: [`${leg} takes the place of ${old}.`, ...overwritten(mirror, leg), `${old} keeps what it holds.`],
  };
}

export function addLeg(name: string, device: string, options: ChangeOptions): Promise<void> {
  return change(name, options, (mirror) => {
    checkNewDevice("leg", device, options);
    const leg = stableLeg(device);
    return {
      file: {
        legs: [...mirror.legs, leg],
        behind: withoutDuplicates([...mirror.behind, leg]),
        ...withoutSpare(mirror, leg),
      },
      isLogNew: true,
      sentences: [`${leg} becomes leg ${mirror.legs.length + 1}.`, ...overwritten(mirror, leg)],
    };
  });
}

export function dropLeg(name: string, device: string, options: ChangeOptions): Promise<void> {
  return change(name, options, (mirror) => {
    const leg = legCalled(mirror, device);
    if (mirror.legs.length <= 2) {
      throw new Error(
        `${name} has ${mirror.legs.length} legs, and a mirror has two at least. Replace one (dm-ulog replace), or end the mirror: dm-ulog remove ${name}`,
      );
    }
    return {
      file: { legs: mirror.legs.filter((one) => one !== leg), behind: mirror.behind.filter((one) => one !== leg) },
      isLogNew: false,
      sentences: [`${leg} is taken out, and keeps what it holds.`, ...forgotten(mirror)],
    };
  });
}

export function grow(name: string, options: GrowOptions): Promise<void> {
  return change(name, options, (mirror) => {
    const before = parseSectors(mirror.size, "Size");
    const size = options.size === undefined ? roomSectors(mirror) : parseSectors(options.size, "Size");
    if (size < before) {
      throw new Error(`${name} has ${before} sectors. It cannot become smaller: what is behind the end would be lost.`);
    }
    if (size === before)
      throw new Error(
        `${name} has ${before} sectors already, as many as its smallest leg. Make the legs larger first.`,
      );
    return {
      file: { size: `${size}s` },
      isLogNew: false,
      sentences: [
        `${name} grows from ${formatSectors(before)} to ${formatSectors(size)}. A file system on it must be grown afterwards.`,
        ...(mirror.logDevice === undefined
          ? forgotten(mirror)
          : [`${formatBytes((size - before) * SECTOR_BYTES)} are copied from ${first(mirror)} to the other legs.`]),
      ],
    };
  });
}

export function changeLog(name: string, device: string | undefined, options: ChangeLogOptions): Promise<void> {
  return change(name, options, (mirror) => {
    if ((device === undefined) === (options.memory !== true))
      throw new Error("Name a device or a file for the log, or give --memory.");
    if (device === undefined) return logInMemory(mirror);
    checkNewDevice("log", device, options);
    checkNoSpare(mirror, device);
    const log = stableDevice(device);
    return {
      file: { "log-device": log, "log-type": null },
      isLogNew: true,
      sentences: [
        `The log goes to ${log}, which is overwritten.`,
        ...copiedAnew(mirror, "A new log knows nothing of the legs"),
      ],
    };
  });
}

export function logInMemory(mirror: MirrorFile): Plan {
  return {
    file: { "log-device": null, "log-type": null },
    isLogNew: true,
    sentences: ["The log is kept in memory.", ...copiedAnew(mirror, "A new log knows nothing of the legs")],
  };
}

/** Without one the kernel waits, and whoever waits for the kernel cannot be ended. */
function checkServer(): void {
  if (!isServed()) throw new Error(NO_SERVER);
}

async function change(name: string, options: ChangeOptions, plan: (mirror: MirrorFile) => Plan): Promise<void> {
  await withMirrorsLocked(options.mirrorsDir, LOCK_WAIT_MS, async () => {
    if (options.dryRun !== true) checkServer();
    let declared = readDeclared(options.mirrorsDir, name);
    const settled = options.dryRun === true ? undefined : await settle(declared);
    if (settled !== undefined) console.error(`dm-ulog: ${settled}`);
    const state = await stateOf(declared);
    if (state.state === "down") throw new Error(`${name} is down. Bring it up first: dm-ulog up ${name}`);
    if (state.state === "differs") throw new Error([`${name} differs from its file.`, ...state.differences].join("\n"));
    if (options.dryRun !== true) declared = withoutCaughtUp(declared);
    const { sentences, ...wanted } = plan(declared.mirror);
    const { after } = changed(declared, wanted);
    for (const sentence of sentences) console.log(sentence);
    if (options.dryRun === true) return;
    await applyChange(declared, wanted, options.reached);
    console.log(`Done: ${after.path} declares it so. dm-ulog status --watch shows the resync.`);
  });
  await tellUdev(options.mirrorsDir);
}

function isSameDevice(one: string, other: string): boolean {
  const numbers = findDevice(THIS_MACHINE, other)?.numbers;
  return one === other || (numbers != null && findDevice(THIS_MACHINE, one)?.numbers === numbers);
}

/** A spare is taken without a question when a leg fails. */
function checkNoSpare({ spares }: MirrorFile, device: string): void {
  if (!spares.some((spare) => isSameDevice(spare, device))) return;
  throw new Error(
    `${device} is a spare of this mirror. Name another device, or take it out of spares in the mirror's file.`,
  );
}

/** A leg by its name in the file, or by another one of the same device. */
function legCalled({ legs }: MirrorFile, name: string): string {
  const found = legs.find((leg) => leg === name || isSameDevice(legDevice(leg), name));
  if (found === undefined) throw new Error(`${name} is none of the legs, which are ${legs.join(", ")}.`);
  return found;
}

function withoutSpare({ spares }: MirrorFile, leg: string): MirrorFileChange {
  return spares.includes(leg) ? { spares: spares.filter((spare) => spare !== leg) } : {};
}

function roomSectors({ legs }: MirrorFile): number {
  const rooms = legs.map((leg) => {
    const name = legDevice(leg);
    const device = findDevice(THIS_MACHINE, name);
    if (device === undefined) throw new Error(`${name} is not there, so its size is unknown. Give --size.`);
    const offset = leg.slice(name.length + 1);
    return device.sizeBytes / SECTOR_BYTES - (offset === "" ? 0 : parseSectors(offset, "Offset"));
  });
  return Math.min(...rooms);
}

function first(mirror: MirrorFile): string {
  return mirror.legs.find((leg) => !mirror.behind.includes(leg)) ?? "";
}

function overwritten(mirror: MirrorFile, leg: string): string[] {
  const source = mirror.legs.find((one) => one !== leg && !mirror.behind.includes(one));
  return [
    `${leg} is overwritten: ${formatSectors(parseSectors(mirror.size, "Size"))} are copied, from ${source}.`,
    "Until that is done, the mirror is only as safe as that leg: the kernel keeps one bit for a region, for all legs.",
  ];
}

function forgotten(mirror: MirrorFile): string[] {
  return mirror.logDevice === undefined
    ? copiedAnew(mirror, "Its log in memory does not outlive a change of the table")
    : [];
}

function copiedAnew(mirror: MirrorFile, why: string): string[] {
  return [
    `${why}: ${formatSectors(parseSectors(mirror.size, "Size"))} are copied from ${first(mirror)} to the other legs.`,
  ];
}
