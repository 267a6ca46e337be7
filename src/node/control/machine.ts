// What dm-ulog doctor looks at. It only reads, and asks nothing that a server must answer: where there is none, the
// kernel lets the asker wait for one.

import { existsSync, readdirSync, statSync } from "node:fs";
import type { LogDescription } from "../../common/console.ts";
import { findIfThere, THIS_MACHINE } from "../devices/block-devices.ts";
import { readTables, readTargetTypes } from "../devices/device-mapper.ts";
import { type LogDeviceFacts, readLogDevices } from "../devices/log-device-facts.ts";
import { mountedDevices, overlaps } from "../devices/mirror-devices.ts";
import { mirrorsWithSwap } from "../devices/swap-watch.ts";
import { missingPrerequisites } from "../prerequisites.ts";
import { holdersOf, type Listener, requestSockets } from "../requests/netlink-sockets.ts";
import { crashDirectory, stateDirectory } from "../state/runtime-paths.ts";
import type { Status } from "./control-socket.ts";
import type { Onlooker } from "./status.ts";

/** A mirror of this machine, of any log. */
export interface Mirror {
  /** Of its device, as dmsetup takes it. */
  name: string;
  isLive: boolean;
  isSuspended: boolean;
  lengthSectors: number;
  /** Undefined where the kernel keeps the log itself. */
  uuid: string | undefined;
  /** `core`, `clustered-disk`, … */
  logType: string;
  /** A path or major:minor; undefined for a log in memory. */
  logDevice: string | undefined;
  regionSizeSectors: number;
  isIntegratedFlush: boolean;
  options: string[];
  /** `major:minor` of each. */
  legs: string[];
  /** Where the mirror begins on each leg. */
  legOffsetsSectors: number[];
  /** `handle_errors`, `keep_log`. */
  features: string[];
  /** Legs and log device that are one device, or overlap, or are mounted, as sentences. */
  deviceFaults: string[];
}

/** What stands in a mirror's table. */
export type MirrorTable = Omit<Mirror, "name" | "isLive" | "isSuspended" | "lengthSectors" | "deviceFaults">;

export interface RuntimeDirectoryFacts {
  uid: number;
  mode: number;
  /** Logs whose state an earlier server left, or the present one keeps. */
  stateFiles: number;
  /** Traces that failures left. */
  crashes: number;
}

export interface MachineFacts {
  /** What is missing to serve, as sentences. */
  missing: string[];
  /** Whether the kernel has the target "mirror" at this moment; undefined where that cannot be told. */
  hasMirrorTarget: boolean | undefined;
  /** Sockets of whatever program that receive the kernel's requests, the server's among them. */
  listeners: Listener[];
  /** Two looks at the running server, or the sentence why there is none. */
  server: { before: Status; after: Status } | { error: string };
  runtimeDirectory: RuntimeDirectoryFacts | null;
  /** Or the sentence why they cannot be read. */
  mirrors: Mirror[] | { error: string };
  /** By name. */
  logDevices: Record<string, LogDeviceFacts>;
  /** Names of the mirrors with a userspace log that swap lies on. */
  swapMirrors: string[];
}

/** Looks at this machine. `wait` passes the time between two looks at the server. */
export async function readMachine(
  runtimeDirectory: string,
  onlooker: Pick<Onlooker, "status">,
  wait: () => Promise<void>,
): Promise<MachineFacts> {
  const mirrors = readMirrors();
  const names = Array.isArray(mirrors) ? mirrors.flatMap(({ logDevice }) => logDevice ?? []) : [];
  return {
    missing: missingPrerequisites(),
    hasMirrorTarget: hasMirrorTarget(),
    listeners: process.platform === "linux" ? readListeners() : [],
    server: await lookTwice(() => onlooker.status(), wait),
    runtimeDirectory: readRuntimeDirectory(runtimeDirectory),
    mirrors,
    logDevices: await readLogDevices(names),
    swapMirrors: mirrorsWithSwap(),
  };
}

/** The second look comes at once where nothing is out of sync, and so nothing can be seen to go on. */
async function lookTwice(ask: () => Promise<Status>, wait: () => Promise<void>): Promise<MachineFacts["server"]> {
  try {
    const before = await ask();
    if (!before.logs.some(isOutOfSync)) return { before, after: before };
    await wait();
    return { before, after: await ask() };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

function isOutOfSync({ outOfSyncRegions }: LogDescription): boolean {
  return outOfSyncRegions > 0;
}

function readListeners(): Listener[] {
  const sockets = requestSockets();
  const holders = holdersOf(new Set(sockets.map(({ inode }) => inode)));
  return sockets.map((socket) => ({ ...socket, holder: holders.get(socket.inode) ?? null }));
}

function hasMirrorTarget(): boolean | undefined {
  try {
    return readTargetTypes().includes("mirror");
  } catch {
    return undefined;
  }
}

/** The mirrors of this machine with the faults of their devices, or the sentence why they cannot be read. */
export function readMirrors(): MachineFacts["mirrors"] {
  const mirrors = readMirrorTables();
  if (!Array.isArray(mirrors)) return mirrors;
  return mirrors.map((mirror) => ({ ...mirror, deviceFaults: deviceFaults(mirror) }));
}

/** The same as the tables have it, without a look at the devices. */
export function readMirrorTables(): Omit<Mirror, "deviceFaults">[] | { error: string } {
  try {
    return readTables().flatMap((line) => {
      const table = line.type === "mirror" ? parseMirrorTable(line.text) : undefined;
      if (table === undefined) return [];
      const { name, isLive, isSuspended, lengthSectors } = line;
      return { name, isLive, isSuspended, lengthSectors, ...table };
    });
  } catch (error) {
    const { code, errno, message } = error as NodeJS.ErrnoException;
    // No device-mapper, so no mirrors.
    if (errno === -19 || process.platform !== "linux") return [];
    if (code === "EACCES" || errno === -13)
      return { error: "The mirrors of this machine cannot be read without privilege." };
    return { error: `The mirrors of this machine cannot be read: ${message}.` };
  }
}

/** A mirror's table, from its log type on. Undefined where it is cut off. */
export function parseMirrorTable(text: string): MirrorTable | undefined {
  const [kernelType = "", argumentCount, ...rest] = text.trim().split(/\s+/);
  let log = rest.slice(0, Number(argumentCount));
  let uuid: string | undefined;
  let logType = kernelType;
  const isIntegratedFlush = kernelType === "userspace" && log.includes("integrated_flush");
  if (kernelType === "userspace") {
    uuid = log[0];
    log = log.slice(1).filter((word) => word !== "integrated_flush");
    logType = log.shift() ?? "";
  }
  const logDevice = /disk$/.test(logType) ? log.shift() : undefined;
  const regionSizeSectors = Number(log.shift());
  if (!Number.isSafeInteger(regionSizeSectors)) return undefined;
  const [legCount = "0", ...afterLog] = rest.slice(Number(argumentCount));
  const legWords = afterLog.slice(0, 2 * Number(legCount));
  const legs = legWords.filter((_, index) => index % 2 === 0);
  const legOffsetsSectors = legWords.filter((_, index) => index % 2 === 1).map(Number);
  const features = afterLog.slice(2 * Number(legCount) + 1);
  return {
    uuid,
    logType,
    logDevice,
    regionSizeSectors,
    isIntegratedFlush,
    options: log,
    legs,
    legOffsetsSectors,
    features,
  };
}

function deviceFaults({ legs, logDevice }: MirrorTable): string[] {
  const devices = {
    legs: legs.flatMap((leg) => findIfThere(THIS_MACHINE, leg) ?? []),
    log: logDevice === undefined ? undefined : findIfThere(THIS_MACHINE, logDevice),
  };
  return [...overlaps(THIS_MACHINE, devices), ...mountedDevices(THIS_MACHINE, devices)];
}

function readRuntimeDirectory(path: string): RuntimeDirectoryFacts | null {
  try {
    const { uid, mode } = statSync(path);
    return {
      uid,
      mode: mode & 0o777,
      stateFiles: countFiles(stateDirectory(path), /^\d+$/),
      crashes: countFiles(crashDirectory(path), /./),
    };
  } catch {
    return null;
  }
}

function countFiles(folder: string, name: RegExp): number {
  return existsSync(folder) ? readdirSync(folder).filter((entry) => name.test(entry)).length : 0;
}
