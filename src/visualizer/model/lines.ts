// The conversation in words: each event is one line for what the core was given and one for each thing that it answered
// or asked for. Writes to state files and wake-ups are counted, not listed: they would drown the rest.

import type { Abi } from "../../common/abi.ts";
import type { Console } from "../../common/console.ts";
import { readEvent, type TraceEffect, type TraceInput } from "../../common/trace/event.ts";
import { KIND_TRAP } from "../../common/trace/format.ts";
import type { Trace } from "../../common/trace/trace.ts";
import { EventWords } from "../../common/trace/words.ts";
import { isListed } from "./event-index.ts";

/** The sender and the receiver of a message. */
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

/** Effects that have a line of their own. */
export function listedEffects(abi: Abi, effects: readonly TraceEffect[]): TraceEffect[] {
  return effects.filter(({ kind }) => isListed(abi, kind));
}

type Spoken = Omit<Line, "event" | "place">;

/** A core of another version may answer what the recorded one did not; a file that was cut lacks the end of its last event. */
const MISSING: Spoken = {
  from: "core",
  to: "core",
  name: "not recorded",
  words: "the core of this page answers here, the trace does not",
  isError: true,
  about: "",
};

export class Lines {
  private readonly words: EventWords;

  constructor(
    private readonly abi: Abi,
    private readonly console: Console,
    private readonly trace: Trace,
  ) {
    this.words = new EventWords(abi, console);
  }

  /** Line `place` of an event. */
  line(event: number, place: number): Line {
    const { input, effects } = readEvent(this.trace, event);
    if (place === 0) return { event, place, ...this.inputLine(input) };
    const effect = listedEffects(this.abi, effects)[place - 1];
    if (effect === undefined) return { event, place, ...MISSING };
    return { event, place, ...this.effectLine(effect) };
  }

  private inputLine(input: TraceInput): Spoken {
    const { abi } = this;
    switch (input.kind) {
      case abi.INPUT_KIND_DATAGRAM:
        return { from: "kernel", to: "core", ...this.datagram(input.payload, true) };
      case abi.INPUT_KIND_COMPLETION: {
        const isError = viewOf(input.payload).getInt32(abi.COMPLETION_ERROR, true) !== 0;
        return { from: "device", to: "core", ...this.named(this.words.input(input)), isError };
      }
      case abi.INPUT_KIND_RESTORE:
        return {
          from: "device",
          to: "core",
          name: "restore",
          words: this.words.input(input),
          isError: false,
          about: "",
        };
      default: {
        const name = input.kind === abi.INPUT_KIND_TICK ? "tick" : "configure";
        return { from: "core", to: "core", name, words: this.words.input(input), isError: false, about: "" };
      }
    }
  }

  private effectLine(effect: TraceEffect): Spoken {
    const { abi } = this;
    const { kind, payload } = effect;
    if (kind === abi.EFFECT_KIND_SEND) return { from: "core", to: "kernel", ...this.datagram(payload, false) };
    if (kind === abi.EFFECT_KIND_NOTICE) {
      const words = this.console.describeNotice(payload);
      const [, about = "", rest = words] = /^(log .*? \(luid \d+\)): (.*)$/.exec(words) ?? [];
      const isError = viewOf(payload).getInt32(4, true) !== 0;
      return { from: "core", to: "core", name: "notice", words: rest, isError, about };
    }
    const words = this.words.effect(effect);
    if (kind === KIND_TRAP) return { from: "core", to: "core", name: "trap", words, isError: true, about: "" };
    return { from: "core", to: "device", ...this.named(words), isError: false };
  }

  /** Words about an operation of the device, taken apart: what it is, on what, and the log's handle. */
  private named(words: string): Pick<Line, "name" | "words" | "about"> {
    const name = this.words.effectNames.find((known) => known !== undefined && words.startsWith(`${known} `)) ?? "";
    const [, before = "", handle = "", rest = ""] =
      /^(.*?) ?of log (\d+):? ?(.*)$/.exec(words.slice(name.length)) ?? [];
    return { name, words: `${before} ${rest}`.trim(), about: handle === "" ? "" : `the log with handle ${handle}` };
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
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

export function asciiOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}
