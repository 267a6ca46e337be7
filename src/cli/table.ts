// dm-ulog table: the dmsetup table line of a mirror whose log is ours. What the core would refuse is refused here, by
// the same parser and in the same words.

import { randomUUID } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { basename } from "node:path";
import type { Abi } from "../common/abi.ts";
import { Console } from "../common/console.ts";
import { type EffectHandler, Engine, type Head } from "../common/engine.ts";
import { asciiBytes, decodeReply, encodeRequest } from "../common/kernel-frames.ts";
import { wasmPath } from "./installation.ts";
import { parseSectors, SECTOR_BYTES } from "./sizes.ts";

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
  handleErrors: boolean;
  keepLog?: boolean;
}

interface Leg {
  device: string;
  offsetSectors: number;
}

/** The table line. Throws a sentence where there is no such mirror. */
export async function tableLine(legArguments: readonly string[], options: TableOptions): Promise<string> {
  if (legArguments.length < 2)
    throw new Error("A mirror has at least two legs. Name them: dm-ulog table /dev/sda /dev/sdb");
  const legs = legArguments.map(parseLeg);
  const lengthSectors =
    options.length === undefined ? shortestLegSectors(legs) : parseSectors(options.length, "Length");
  const uuid = options.uuid ?? `dm-ulog-${randomUUID()}`;
  if (!/^[\x21-\x7e]{1,128}$/.test(uuid)) {
    throw new Error(`UUID "${uuid}" must be 1 to 128 printable characters without spaces.`);
  }
  const logType = options.logType ?? (options.logDevice === undefined ? "clustered-core" : "clustered-disk");
  if (/disk$/.test(logType) !== (options.logDevice !== undefined)) {
    throw new Error(
      `Log type ${logType} and a log device do not go together: a disk log has one, a core log has none.`,
    );
  }
  const log = [
    logType,
    ...(options.logDevice === undefined ? [] : [options.logDevice]),
    String(parseSectors(options.regionSize, "Region size")),
  ];
  if (options.sync) log.push("sync");
  if (options.nosync) log.push("nosync");
  if (options.blockOnError) log.push("block_on_error");
  await tryLog(uuid, `${lengthSectors} ${log.join(" ")}`);

  const logArguments = [uuid, ...(options.integratedFlush ? ["integrated_flush"] : []), ...log];
  const features = [...(options.handleErrors ? ["handle_errors"] : []), ...(options.keepLog ? ["keep_log"] : [])];
  return [
    `0 ${lengthSectors} mirror userspace ${logArguments.length} ${logArguments.join(" ")}`,
    `${legs.length} ${legs.map(({ device, offsetSectors }) => `${device} ${offsetSectors}`).join(" ")}`,
    ...(features.length > 0 ? [`${features.length} ${features.join(" ")}`] : []),
  ].join(" ");
}

/** `/dev/sda`, or `/dev/sda:2048s` with what to leave out at its beginning. */
function parseLeg(text: string): Leg {
  const match = /^(\S+?)(?::([0-9]+[skmgt]?))?$/i.exec(text);
  if (match === null)
    throw new Error(`Leg "${text}" is not a device, or a device and an offset such as /dev/sda:2048s.`);
  const offset = match[2];
  return {
    device: match[1] as string,
    offsetSectors: offset === undefined || /^0+[skmgt]?$/i.test(offset) ? 0 : parseSectors(offset, "Offset"),
  };
}

function shortestLegSectors(legs: readonly Leg[]): number {
  const sizes = legs.map(({ device, offsetSectors }) => deviceSectors(device) - offsetSectors);
  const shortest = Math.min(...sizes);
  if (shortest <= 0) throw new Error("An offset lies behind the end of its leg. Choose a smaller one.");
  return shortest;
}

function deviceSectors(device: string): number {
  try {
    if (!statSync(device).isBlockDevice()) throw new Error("no block device");
    return Number(readFileSync(`/sys/class/block/${basename(realpathSync(device))}/size`, "utf8"));
  } catch {
    throw new Error(`${device} is no block device here. Name one that is, or give the mirror's size with --length.`);
  }
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
  const emptyBytes = engine.bytes().length;
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
  };
  engine.deliver(request, engine.abi.KERNEL_PORT, 1, handler);
  if (opening !== undefined) {
    const device = { sizeBytes: Number.MAX_SAFE_INTEGER, major: 0, minor: 0 };
    const opened = { effect: engine.abi.EFFECT_KIND_OPEN, error: 0, device };
    engine.completed(opening, opened, 1, { ...handler, notice: () => {} });
  }
  const [log] = words.logs(engine);
  if (refusal !== "" || log === undefined) throw new Error(refusal);
  return {
    regionCount: log.regionCount,
    memoryBytes: engine.bytes().length - emptyBytes,
    stateFileBytes,
    deviceBytes: log.device === null ? undefined : logDeviceBytes(engine.abi, log.regionCount),
  };
}

/** Header and clean bits, in whole sectors. */
function logDeviceBytes(abi: Abi, regionCount: number): number {
  return Math.ceil((abi.BITS_OFFSET + Math.ceil(regionCount / 8)) / SECTOR_BYTES) * SECTOR_BYTES;
}
