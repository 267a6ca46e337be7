// The conversation in words: each event is one line for what the core was given and one for each thing that it answered
// or asked for. Writes to state files and wake-ups are counted, not listed: they would drown the rest.

import type { Abi } from "../../common/abi.ts";
import type { Console } from "../../common/console.ts";
import type { Effect, EventStore, Input } from "./event-store.ts";

/** Who speaks and who listens. */
export const LANES = ["kernel", "core", "device"] as const;
export type Lane = (typeof LANES)[number];

export interface Line {
  event: number;
  /** 0 for the input, 1 and more for the effects that are listed. */
  place: number;
  from: Lane;
  to: Lane;
  /** The header's name of a request, or what kind of thing this is. */
  name: string;
  words: string;
  isError: boolean;
  /** Log, seq and version, where the line has them. */
  about: string;
}

/** Effects that have a line of their own, with their place among all effects of the event. */
export function listedEffects(abi: Abi, effects: readonly Effect[]): Effect[] {
  return effects.filter(({ kind }) => kind < abi.EFFECT_KIND_STATE_CREATE && kind !== abi.EFFECT_KIND_WAKE);
}

export class Lines {
  constructor(
    private readonly abi: Abi,
    private readonly console: Console,
    private readonly store: EventStore,
  ) {}

  /** Line `place` of an event. */
  line(event: number, place: number): Line {
    if (place === 0) return this.inputLine(event, this.store.input(event));
    const effect = listedEffects(this.abi, this.store.effects(event))[place - 1];
    if (effect === undefined) throw new RangeError(`event ${event} has no line ${place}`);
    return this.effectLine(event, place, effect);
  }

  private inputLine(event: number, input: Input): Line {
    const { abi } = this;
    const plain = { event, place: 0, from: "device", to: "core", about: "", isError: false } as const;
    switch (input.kind) {
      case abi.INPUT_KIND_DATAGRAM:
        return { event, place: 0, from: "kernel", to: "core", ...this.datagram(input.payload, true) };
      case abi.INPUT_KIND_COMPLETION: {
        const view = viewOf(input.payload);
        const effect = view.getUint32(abi.COMPLETION_EFFECT, true);
        const error = view.getInt32(abi.COMPLETION_ERROR, true);
        const { name, done } = this.deviceWords(effect, input.payload);
        const words = error === 0 ? done : this.console.explainErrno(error);
        return { ...plain, name: `${name} done`, words, isError: error !== 0, about: handleOf(abi, view) };
      }
      case abi.INPUT_KIND_TICK:
        return { ...plain, from: "core", name: "TICK", words: "the time for lazy work has come" };
      case abi.INPUT_KIND_RESTORE: {
        const words = `${viewOf(input.payload).getUint32(abi.HEAD_SIZE, true)} bytes of a state file from the server before`;
        return { ...plain, name: "RESTORE", words };
      }
      case abi.INPUT_KIND_CONFIGURE:
        return { ...plain, from: "core", name: "CONFIGURE", words: "options from the host" };
      default:
        return { ...plain, from: "core", name: `input ${input.kind}`, words: "unknown" };
    }
  }

  private effectLine(event: number, place: number, { kind, payload }: Effect): Line {
    const { abi } = this;
    if (kind === abi.EFFECT_KIND_SEND) {
      return { event, place, from: "core", to: "kernel", ...this.datagram(payload, false) };
    }
    if (kind === abi.EFFECT_KIND_NOTICE) {
      const words = this.console.describeNotice(payload);
      const [, about = "", rest = words] = /^(log .*? \(luid \d+\)): (.*)$/.exec(words) ?? [];
      const isError = viewOf(payload).getInt32(4, true) !== 0;
      return { event, place, from: "core", to: "core", name: "NOTICE", words: rest, isError, about };
    }
    const { name, asked } = this.deviceWords(kind, payload);
    const about = handleOf(abi, viewOf(payload));
    return { event, place, from: "core", to: "device", name, words: asked, isError: false, about };
  }

  private datagram(bytes: Uint8Array, fromKernel: boolean): Pick<Line, "name" | "words" | "isError" | "about"> {
    const text = this.console.decodeDatagram(bytes, fromKernel);
    const parts = /^(.+?)( reply)? #(\d+) log (.*) luid (\d+) v(\d+)(?:: (.*))?$/.exec(text);
    if (parts === null) return { name: "datagram", words: text, isError: true, about: "" };
    const [, name = "", reply = "", seq, uuid, luid, version, words = ""] = parts;
    const isError = !fromKernel && viewOf(bytes).getInt32(this.abi.ULOG_ERROR, true) !== 0;
    const about = `log ${uuid}, luid ${BigInt(luid ?? 0).toString(16)}, seq ${seq}, version ${version}`;
    return { name: name + reply, words, isError, about };
  }

  /** An operation of the log device or the legs: its name, what is asked for, and what is so when it is done. */
  private deviceWords(kind: number, payload: Uint8Array): { name: string; asked: string; done: string } {
    const { abi } = this;
    const view = viewOf(payload);
    const size = view.getUint32(abi.HEAD_SIZE, true).toLocaleString("en");
    const offset = Number(view.getBigUint64(abi.HEAD_OFFSET, true)).toLocaleString("en");
    const extent = `${size} bytes at ${offset}`;
    switch (kind) {
      case abi.EFFECT_KIND_OPEN:
        return { name: "OPEN", asked: asciiOf(payload.subarray(abi.HEAD_BYTES)), done: "the log device is open" };
      case abi.EFFECT_KIND_READ:
        return { name: "READ", asked: extent, done: `${extent} are read` };
      case abi.EFFECT_KIND_WRITE:
        return { name: "WRITE", asked: extent, done: `${extent} are durable` };
      case abi.EFFECT_KIND_CLOSE:
        return { name: "CLOSE", asked: "the log device is let go", done: "closed" };
      case abi.EFFECT_KIND_FLUSH_LEGS:
        return {
          name: "FLUSH LEGS",
          asked: "the legs are to flush their caches",
          done: "the legs' caches are flushed",
        };
      default:
        return { name: `effect ${kind}`, asked: "", done: "" };
    }
  }
}

function handleOf(abi: Abi, view: DataView): string {
  return `handle ${view.getUint32(abi.HEAD_HANDLE, true)}`;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

export function asciiOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}
