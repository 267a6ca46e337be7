// dm-ulog table: the dmsetup table line of a mirror whose log is ours. What the core would refuse is refused here, by
// the same parser and in the same words; what would destroy something is refused by table-checks.ts.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Abi } from "../common/abi.ts";
import { Console } from "../common/console.ts";
import { type EffectHandler, Engine, type Head } from "../common/engine.ts";
import { asciiBytes, decodeReply, encodeRequest } from "../common/kernel-frames.ts";
import { type Device, findDevice, findIfThere, type Machine, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { parseNumbers } from "../node/devices/device-numbers.ts";
import { wasmPath } from "./installation.ts";
import { parseSectors, SECTOR_BYTES } from "./sizes.ts";
import { examineMirror, type LogInUse } from "./table-checks.ts";

/**
 * What the kernel does when a write to a leg fails, as the features of dm-raid1 that stand at the end of a line
 * (drivers/md/dm-raid1.c). It refuses keep_log without handle_errors.
 */
export const LEG_FAILURE_FEATURES = {
  continue: ["handle_errors", "keep_log"],
  wait: ["handle_errors"],
  ignore: [],
} as const;

export interface TableOptions {
  uuid?: string;
  length?: string;
  regionSize: string;
  logType?: string;
  logDevice?: string;
  sync?: boolean;
  nosync?: boolean;
  blockOnError?: boolean;
  integratedFlush?: boolean;
  legFailure: keyof typeof LEG_FAILURE_FEATURES;
  force?: boolean;
  /** Of a mirror that its file declares: what its devices hold is its own, and is not looked at. */
  isDeclared?: boolean;
}

interface Leg {
  name: string;
  offsetSectors: number;
  /** Undefined where it is not on this machine. */
  device: Device | undefined;
}

/** dm-raid1 copies to at most 8 legs at once (DM_KCOPYD_MAX_REGIONS). */
const LEGS_MAX = 9;

export interface TableLine {
  line: string;
  uuid: string;
  lengthSectors: number;
  /** What to know of it, as sentences. */
  notes: string[];
}

/** Prints the line, and on standard error what to know of it. */
export async function table(legArguments: readonly string[], options: TableOptions): Promise<void> {
  const { line, notes } = await checkedTableLine(legArguments, options, THIS_MACHINE, await logsInUse());
  for (const note of notes) console.error(`dm-ulog: ${note}`);
  console.log(line);
}

/** The line of a mirror of devices of this machine. Throws sentences where there is no such mirror, or it would destroy something. */
export async function checkedTableLine(
  legArguments: readonly string[],
  options: TableOptions,
  machine: Machine = THIS_MACHINE,
  inUse: readonly LogInUse[] = [],
): Promise<TableLine> {
  const legs = parseLegs(legArguments, (name) => findDevice(machine, name));
  const lengthSectors = options.length === undefined ? shortestLegSectors(legs) : parseLength(options.length);
  const { line, uuid, needs } = await makeLine(legs, lengthSectors, options);
  const { logDevice, sync, nosync } = options;
  const wanted = {
    legs,
    uuid,
    lengthSectors,
    regionCount: needs.regionCount,
    isLogNew: sync === true || nosync === true,
    isNosync: nosync === true,
    isDeclared: options.isDeclared === true,
    log:
      logDevice === undefined
        ? undefined
        : { name: logDevice, device: findDevice(machine, logDevice), bytesNeeded: needs.deviceBytes ?? 0 },
  };
  const { refusals, doubts, notes } = examineMirror(machine, wanted, inUse);
  const against = [...refusals, ...(options.force ? [] : doubts)];
  if (against.length > 0) throw new Error(against.join("\n"));
  return { line, uuid, lengthSectors, notes: [...doubts, ...notes] };
}

/** The line of a mirror of which nothing but the words is known. Throws a sentence where the words do not make a line. */
export function uncheckedTableLine(
  legArguments: readonly string[],
  options: TableOptions & { length: string },
  find: (name: string) => Device | undefined = () => undefined,
): string {
  const legs = parseLegs(legArguments, find);
  return makeWords(legs, parseLength(options.length), options).line;
}

/** Of the mirrors of this machine; none where they cannot be read, for want of privilege or of an optional package. */
export async function logsInUse(): Promise<LogInUse[]> {
  const machine = await import("../node/control/machine.ts").catch(() => undefined);
  const mirrors = machine?.readMirrors() ?? [];
  if (!Array.isArray(mirrors)) return [];
  return mirrors.flatMap(({ name, uuid, logDevice }) => {
    const device = logDevice === undefined ? undefined : findIfThere(THIS_MACHINE, logDevice);
    return device === undefined ? [] : { mirror: name, uuid, device };
  });
}

async function makeLine(
  legs: readonly Leg[],
  lengthSectors: number,
  options: TableOptions,
): Promise<{ line: string; uuid: string; needs: LogNeeds }> {
  const { line, uuid, log } = makeWords(legs, lengthSectors, options);
  return { line, uuid, needs: await tryLog(uuid, `${lengthSectors} ${log.join(" ")}`) };
}

function makeWords(
  legs: readonly Leg[],
  lengthSectors: number,
  options: TableOptions,
): { line: string; uuid: string; log: readonly string[] } {
  const uuid = options.uuid ?? `dm-ulog-${randomUUID()}`;
  if (uuid.length > 128 || !isOneWord(uuid)) {
    throw new Error(`UUID "${uuid}" must be 1 to 128 printable characters without spaces, # and \\.`);
  }
  const { logDevice } = options;
  if (logDevice !== undefined) checkName(logDevice, "Log device");
  const logType = options.logType ?? (logDevice === undefined ? "clustered-core" : "clustered-disk");
  if (/disk$/.test(logType) !== (logDevice !== undefined)) {
    throw new Error(
      `Log type ${logType} and a log device do not go together: a disk log has one, a core log has none.`,
    );
  }
  const log = [
    logType,
    ...(logDevice === undefined ? [] : [logDevice]),
    String(parseSectors(options.regionSize, "Region size")),
  ];
  if (options.sync) log.push("sync");
  if (options.nosync) log.push("nosync");
  if (options.blockOnError) log.push("block_on_error");

  const logArguments = [uuid, ...(options.integratedFlush ? ["integrated_flush"] : []), ...log];
  const features = LEG_FAILURE_FEATURES[options.legFailure];
  const line = [
    `0 ${lengthSectors} mirror userspace ${logArguments.length} ${logArguments.join(" ")}`,
    `${legs.length} ${legs.map(({ name, offsetSectors }) => `${name} ${offsetSectors}`).join(" ")}`,
    ...(features.length > 0 ? [`${features.length} ${features.join(" ")}`] : []),
  ].join(" ");
  return { line, uuid, log };
}

function parseLegs(texts: readonly string[], find: (name: string) => Device | undefined): Leg[] {
  if (texts.length < 2) throw new Error("A mirror has at least two legs. Name them: dm-ulog table /dev/sda /dev/sdb");
  if (texts.length > LEGS_MAX) throw new Error(`A mirror has at most ${LEGS_MAX} legs; these are ${texts.length}.`);
  return texts.map((text) => {
    const { name, offsetSectors, device } = parseLeg(text, find);
    checkName(name, "Leg");
    if (device?.inode != null) {
      throw new Error(
        `Leg ${name} is a file, and a mirror's legs are block devices. Name one, or make one of it: losetup.`,
      );
    }
    return { name, offsetSectors, device };
  });
}

/**
 * `/dev/sda` or `8:0`, or one of these with what to leave out at its beginning: `/dev/sda:2048s`, `8:0:2048s`. Names in
 * /dev/disk may end like an offset: what is there is a name.
 */
function parseLeg(text: string, find: (name: string) => Device | undefined): Leg {
  const device = find(text);
  const match = device === undefined && parseNumbers(text) === undefined ? /^(.+):([0-9]+[skmgt]?)$/i.exec(text) : null;
  if (match === null) return { name: text, offsetSectors: 0, device };
  const [, name, offset] = match as unknown as [string, string, string];
  const offsetSectors = /^0+[skmgt]?$/i.test(offset) ? 0 : parseSectors(offset, "Offset");
  return { name, offsetSectors, device: find(name) };
}

/** Throws a sentence where a name would not come to the kernel, or to the server, as it is. */
function checkName(name: string, what: string): void {
  if (parseNumbers(name) !== undefined) return;
  if (!name.startsWith("/")) {
    throw new Error(
      `${what} "${name}" is neither a whole path nor a device's numbers. Write it as /dev/sda or 8:0: other programs ` +
        "look for it, and from other folders.",
    );
  }
  if (!isOneWord(name)) {
    throw new Error(
      `${what} "${name}" does not fit into a table: dmsetup and the kernel split it or cut it at blanks, #, \\ and ` +
        "characters beyond ASCII. Name the device by its numbers, such as 8:0 (lsblk shows them), or a file by another path.",
    );
  }
}

/**
 * Whether dmsetup and the kernel pass a word on as it is: dmsetup cuts a line at a `#`; dm_split_args splits at blanks,
 * of which byte 0xa0 is one, and drops backslashes; a userspace log puts the words together again without any.
 */
function isOneWord(word: string): boolean {
  return /^[\x21-\x7e]+$/.test(word) && !/[#\\]/.test(word);
}

function parseLength(text: string): number {
  return parseSectors(text, "Length");
}

function shortestLegSectors(legs: readonly Leg[]): number {
  const sizes = legs.map(({ name, offsetSectors, device }) => {
    if (device === undefined) {
      throw new Error(`${name} is no block device here. Name one that is, or give the mirror's size with --length.`);
    }
    return device.sizeBytes / SECTOR_BYTES - offsetSectors;
  });
  const shortest = Math.min(...sizes);
  if (shortest <= 0) throw new Error("An offset lies behind the end of its leg. Choose a smaller one.");
  return shortest;
}

/** What a log takes. */
export interface LogNeeds {
  regionCount: number;
  /** By which the engine's memory grows. */
  memoryBytes: number;
  /** Of the state file, which lies in the runtime directory. */
  stateFileBytes: number;
  /** Of the log device; undefined for a core log. */
  deviceBytes: number | undefined;
}

/** Makes a log in an engine of its own and tells what it takes. Throws the core's sentence where there is no such log. */
export async function tryLog(uuid: string, constructorText: string): Promise<LogNeeds> {
  const wasm = readFileSync(wasmPath());
  const engine = new Engine(new WebAssembly.Module(wasm));
  const words = await Console.create(wasm);
  let refusal = "";
  let opening: Head | undefined;
  let stateFileBytes = 0;
  const request = encodeRequest(engine.abi, { type: "CTR", uuid, luid: 1n, seq: 1, data: asciiBytes(constructorText) });
  const handler: EffectHandler = {
    notice: (address, size) => {
      refusal = words.describeNotice(engine.read(address, size));
    },
    send: (address, size) => {
      if (decodeReply(engine.abi, engine.read(address, size)).error === 0) refusal = "";
    },
    // The constructor fits; whether the device does, the server finds out on the machine that has it.
    open: (head) => {
      refusal = "";
      opening = head;
    },
    stateCreate: ({ offsetBytes }) => {
      stateFileBytes = offsetBytes;
    },
    stateWrite: () => {},
    wake: () => {},
  };
  engine.deliver(request, engine.abi.KERNEL_PORT, 1, handler);
  engine.goOn(1, handler);
  if (opening !== undefined) {
    const device = { sizeBytes: Number.MAX_SAFE_INTEGER, major: 0, minor: 0 };
    const opened = { effect: engine.abi.EFFECT_KIND_OPEN, error: 0, device };
    const quiet = { ...handler, notice: () => {} };
    engine.completed(opening, opened, 1, quiet);
    engine.goOn(1, quiet);
  }
  const [log] = words.logs(engine);
  if (refusal !== "" || log === undefined) throw new Error(refusal);
  return {
    regionCount: log.regionCount,
    memoryBytes: log.memoryBytes,
    stateFileBytes,
    deviceBytes: log.device === null ? undefined : logDeviceBytes(engine.abi, log.regionCount),
  };
}

/** Header and clean bits, in whole sectors. */
function logDeviceBytes(abi: Abi, regionCount: number): number {
  return Math.ceil((abi.BITS_OFFSET + Math.ceil(regionCount / 8)) / SECTOR_BYTES) * SECTOR_BYTES;
}
