// Shows events to a person: the host's inputs, the core's effects, and where a replay differs from its recording.

import type { Abi, AbiName } from "../abi.ts";
import type { Console, LogDescription } from "../console.ts";
import { printable } from "../printable.ts";
import { addressOf } from "./address.ts";
import { type Difference, type EffectDifference, effectBytes } from "./difference.ts";
import { readEvent, type TraceEffect, type TraceInput } from "./event.ts";
import { NO_LOG } from "./event-table.ts";
import { KIND_TRAP } from "./format.ts";
import { latin1 } from "./packet.ts";
import type { Trace } from "./trace.ts";

/** Bytes shown of each side of a difference. */
const SHOWN_BYTES = 16;
const NS_PER_SECOND = 1e9;
const TEXT_BYTES_MAX = 4096;
/** Exports that are not request types although their names begin like those. */
const NO_REQUESTS = new Set(["TYPE_MASK", "TYPE_MAX", "VERSION_MAX"]);

/** Words for the contents of a trace. */
export class EventWords {
  /** Names of request types without DM_ULOG_, by number. */
  readonly requestNames: readonly (string | undefined)[];
  /** Names of effects by number, such as `state write`. */
  readonly effectNames: readonly (string | undefined)[];

  constructor(
    private readonly abi: Abi,
    private readonly console: Console,
  ) {
    this.requestNames = namesOf(abi, "REQUEST_", (name) => (NO_REQUESTS.has(name) ? "" : name));
    this.effectNames = namesOf(abi, "EFFECT_KIND_", (name) => name.toLowerCase().replaceAll("_", " "));
  }

  /** An input in one line. */
  input({ kind, payload, sizeBytes, senderPort }: TraceInput): string {
    const { abi, console } = this;
    if (kind === abi.INPUT_KIND_DATAGRAM) {
      const from = senderPort === abi.KERNEL_PORT ? "" : `, from netlink port ${senderPort}`;
      const cut = sizeBytes > payload.length ? `, the first of ${sizeBytes} bytes` : "";
      return console.decodeDatagram(payload, true) + cut + from;
    }
    const view = viewOf(payload);
    if (kind === abi.INPUT_KIND_COMPLETION && payload.length >= abi.COMPLETION_DATA) {
      const error = view.getInt32(abi.COMPLETION_ERROR, true);
      const result = error === 0 ? "done" : console.explainErrno(error);
      const effect = view.getUint32(abi.COMPLETION_EFFECT, true);
      return `${this.nameOf(effect)} ${this.head(effect, payload)}: ${result}`;
    }
    if (kind === abi.INPUT_KIND_RESTORE && payload.length >= abi.HEAD_BYTES) {
      return `part of the state file ${this.head(abi.EFFECT_KIND_STATE_WRITE, payload)}`;
    }
    if (kind === abi.INPUT_KIND_TICK) return "wake-up time reached";
    if (kind === abi.INPUT_KIND_CONFIGURE) return "options";
    if (kind === abi.INPUT_KIND_FORGET && payload.length > abi.FORGET_UUID) {
      const uuid = payload.subarray(abi.FORGET_UUID);
      const end = uuid.indexOf(0);
      const luid = view.getBigUint64(abi.FORGET_LUID, true);
      return `no table names log ${text(uuid.subarray(0, end < 0 ? uuid.length : end))} luid ${luid}`;
    }
    return `an input of kind ${kind} with ${payload.length} bytes`;
  }

  /** An effect in one line. */
  effect({ kind, payload }: TraceEffect): string {
    const { abi, console } = this;
    if (kind === abi.EFFECT_KIND_SEND) return console.decodeDatagram(payload, false);
    if (kind === abi.EFFECT_KIND_NOTICE) return `notice: ${console.describeNotice(payload)}`;
    if (kind === KIND_TRAP) return `the core trapped: ${text(payload)}`;
    if (kind === abi.EFFECT_KIND_WAKE && payload.length >= 8) {
      const atNs = viewOf(payload).getBigUint64(0, true);
      return atNs === 0n ? "no wake-up" : `wake-up at ${seconds(Number(atNs))}`;
    }
    if (payload.length < abi.HEAD_BYTES) return this.nameOf(kind);
    const path = kind === abi.EFFECT_KIND_OPEN ? ` ${text(payload.subarray(abi.HEAD_BYTES))}` : "";
    return `${this.nameOf(kind)}${path} ${this.head(kind, payload)}`;
  }

  /**
   * A difference in several lines: the event, the expected and the actual effect, in words and in bytes, and the state of the
   * log at that point.
   */
  difference(trace: Trace, difference: Difference): string {
    const { index, effect, expectedCount, gotCount, problem, engine } = difference;
    const timeNs = trace.events.timesNs[index] as number;
    const lines = [
      `Event ${addressOf(trace, index)} at ${seconds(timeNs)}: ${this.input(readEvent(trace, index).input)}`,
    ];
    if (problem !== null) lines.push(`The recorded event is damaged: ${problem}.`);
    lines.push(
      `Effect ${effect + 1} differs from the recording (${expectedCount} effects were recorded, the core gave ${gotCount}).`,
      ...this.effectDifference(difference, ["expected", "     got"]),
    );
    const log = trace.events.logs[index] as number;
    const name = log === NO_LOG ? undefined : trace.logs[log];
    const found = this.console.logs(engine).find(({ uuid, luid }) => uuid === name?.uuid && luid === name.luid);
    if (found !== undefined) lines.push(`The log at this point: ${logInWords(found)}`);
    return lines.join("\n");
  }

  /** The two sides of a difference, in words and in bytes, each behind its name. */
  effectDifference(difference: EffectDifference, [one, other]: readonly [string, string]): string[] {
    const { expected, got, firstByte } = difference;
    const side = (effect: TraceEffect | null) => (effect === null ? "nothing more" : this.effect(effect));
    const lines = [`  ${one}: ${side(expected)}`, `  ${other}: ${side(got)}`];
    if (expected === null || got === null || expected.kind !== got.kind) return lines;
    return [
      ...lines,
      `They differ from byte ${firstByte} on:`,
      `  ${one}: ${hexadecimal(effectBytes(expected), firstByte)}`,
      `  ${other}: ${hexadecimal(effectBytes(got), firstByte)}`,
    ];
  }

  private nameOf(kind: number): string {
    return this.effectNames[kind] ?? `effect ${kind}`;
  }

  /** The log that an effect belongs to, and its bytes. */
  private head(kind: number, payload: Uint8Array): string {
    const { abi } = this;
    const view = viewOf(payload);
    const words = `of log ${view.getUint32(abi.HEAD_HANDLE, true)}`;
    const size = view.getUint32(abi.HEAD_SIZE, true);
    const offset = view.getBigUint64(abi.HEAD_OFFSET, true);
    switch (kind) {
      case abi.EFFECT_KIND_READ:
      case abi.EFFECT_KIND_WRITE:
      case abi.EFFECT_KIND_STATE_WRITE:
        return `${words}: ${size} bytes at ${offset}`;
      case abi.EFFECT_KIND_STATE_CREATE:
        return `${words}: ${offset} bytes`;
      default:
        return words;
    }
  }
}

function logInWords(log: LogDescription): string {
  const { uuid, luid, type, state, regionCount, inSyncRegions, dirtyRegions, failedRegions, recoveringRegion } = log;
  const recovering = recoveringRegion === null ? "" : `, region ${recoveringRegion} being resynced`;
  const device =
    log.device === null ? "" : `, log device: ${log.device.error ?? (log.device.isReady ? "ready" : "not ready")}`;
  return (
    `${uuid} (luid ${luid}, ${type}) ${state}, ${inSyncRegions} of ${regionCount} regions in sync, ` +
    `${dirtyRegions} dirty, ${failedRegions} failed${recovering}${device}`
  );
}

/** Exported names with a common prefix, without the prefix, by their number. */
function namesOf(abi: Abi, start: string, word: (name: string) => string): (string | undefined)[] {
  const names: (string | undefined)[] = [];
  for (const key of Object.keys(abi) as AbiName[]) {
    if (!key.startsWith(start)) continue;
    const name = word(key.slice(start.length));
    if (name !== "") names[abi[key]] = name;
  }
  return names;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function text(bytes: Uint8Array): string {
  return printable(latin1(bytes.subarray(0, TEXT_BYTES_MAX)));
}

function hexadecimal(bytes: Uint8Array, first: number): string {
  const shown = Array.from(bytes.subarray(first, first + SHOWN_BYTES), (byte) => byte.toString(16).padStart(2, "0"));
  return shown.length === 0 ? "no byte" : shown.join(" ");
}

function seconds(timeNs: number): string {
  return `${(timeNs / NS_PER_SECOND).toFixed(9)} s`;
}
