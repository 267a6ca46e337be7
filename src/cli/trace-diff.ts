// dm-ulog trace diff: where two traces part.

import { printable } from "../common/printable.ts";
import { addressOf } from "../common/trace/address.ts";
import { readEvent } from "../common/trace/event.ts";
import { findParting, type InputPart, type Parting, type PartingOptions } from "../common/trace/parting.ts";
import type { Trace } from "../common/trace/trace.ts";
import { EventWords } from "../common/trace/words.ts";
import { jsonLine } from "./json-line.ts";
import { formatCount } from "./sizes.ts";
import { loadCore, openTrace, withTraceErrors } from "./trace-files.ts";
import { timeText } from "./trace-time.ts";

export interface DiffOptions extends PartingOptions {
  /** Path of a core that takes the snapshots of both traces, if it is not the installed one. */
  core?: string;
  json?: boolean;
}

const PART_WORDS: Readonly<Record<InputPart, string>> = {
  kind: "kinds",
  sender: "senders",
  size: "sizes",
  content: "contents",
  time: "times",
};

/** Returns the exit status: 0 if the traces are the same, 1 if they part, 2 if one cannot be used. */
export function diffTraces(pathA: string, pathB: string, options: DiffOptions): Promise<number> {
  return withTraceErrors(async () => {
    const { module, abi, console: control } = await loadCore(options.core);
    const a = openTrace([pathA], abi);
    const b = openTrace([pathB], abi);
    const parting = findParting(a, b, module, options);
    const words = partingInWords(a, b, parting, new EventWords(abi, control));
    if (options.json) console.log(jsonLine(partingObject(a, b, parting, words)));
    else console.log([`A is ${printable(pathA)}, B is ${printable(pathB)}.`, ...words].join("\n"));
    for (const [path, { problem }] of [
      [pathA, a],
      [pathB, b],
    ] as const)
      if (problem !== null) console.error(`dm-ulog: ${path}: ${problem}`);
    return parting === null ? 0 : 1;
  });
}

function partingInWords(a: Trace, b: Trace, parting: Parting | null, words: EventWords): string[] {
  if (parting === null) return [`Their ${formatCount(a.eventCount)} events are the same.`];
  const { index } = parting;
  const before = `The ${formatCount(index)} events before it are the same.`;
  const input = (trace: Trace) => words.input(readEvent(trace, index).input);
  const side = (name: string, trace: Trace) =>
    `  ${name} ${addressOf(trace, index)} ${timeText(trace, index, "core")}  ${input(trace)}`;
  const both = [side("A", a), side("B", b)];
  switch (parting.what) {
    case "end": {
      const [longer, rest] = parting.ended === "A" ? (["B", b] as const) : (["A", a] as const);
      const events = rest.eventCount - index;
      return [
        `${parting.ended} ends; ${longer} goes on with ${formatCount(events)} ${events === 1 ? "event" : "events"}:`,
        side(longer, rest),
        `The ${formatCount(index)} events before are the same.`,
      ];
    }
    case "life":
      return [`An engine begins in ${parting.begins} alone:`, ...both, before];
    case "start":
      return [`Their engines begin otherwise: A ${parting.starts[0]}, B ${parting.starts[1]}.`, ...both, before];
    case "state":
      return [
        `What their engines know before the event differs, from byte ${formatCount(parting.address)} of linear memory on.`,
        ...both,
        before,
      ];
    case "input": {
      const parts = parting.parts.map((part) => PART_WORDS[part]);
      const list = parts.length > 1 ? `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}` : parts[0];
      const same = input(a) === input(b) ? ["The words are the same, bytes or times are not."] : [];
      return [`Their inputs differ: the ${list} of an event.`, ...both, ...same, before];
    }
    case "effect":
      return [
        "The same input has different effects:",
        ...both,
        ...words.effectDifference(parting.difference, ["A", "B"]),
        before,
      ];
  }
}

function partingObject(a: Trace, b: Trace, parting: Parting | null, words: string[]): object {
  const { index } = parting ?? { index: 0 };
  const side = (trace: Trace) => (parting === null || index >= trace.eventCount ? null : addressOf(trace, index));
  return {
    isEqual: parting === null,
    what: parting?.what ?? null,
    place: parting === null ? null : index,
    a: side(a),
    b: side(b),
    events: parting === null ? a.eventCount : index,
    words,
  };
}
