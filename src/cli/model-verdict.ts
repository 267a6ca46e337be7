// What the model of the protocol says of a recording, whatever a core would have answered: for `dm-ulog replay --model`.

import type { TraceVerdict } from "../common/model/trace-check.ts";
import { addressOf } from "../common/trace/address.ts";
import { readEvent } from "../common/trace/event.ts";
import type { Trace } from "../common/trace/trace.ts";
import type { EventWords } from "../common/trace/words.ts";
import { formatCount } from "./sizes.ts";

const NS_PER_SECOND = 1e9;

export function verdictText(
  trace: Trace,
  { events, violation, index, skippedEvents }: TraceVerdict,
  words: EventWords,
): string {
  const lines: string[] = [];
  if (violation === null) {
    lines.push(`The model agrees: ${formatCount(events)} events keep every rule of docs/protocol-rules.md.`);
  } else {
    const seconds = (trace.events.timesNs[index] as number) / NS_PER_SECOND;
    const input = words.input(readEvent(trace, index).input);
    lines.push(
      `Event ${addressOf(trace, index)} at ${seconds.toFixed(6)} s breaks a rule: ${input}`,
      violation.message,
    );
  }
  if (skippedEvents > 0) {
    lines.push(`${formatCount(skippedEvents)} events were not judged: they follow a state that only the core knew.`);
  }
  return lines.join("\n");
}

/** Null where the model was not asked for. */
export function verdictObject(trace: Trace, verdict: TraceVerdict | null): object | null {
  if (verdict === null) return null;
  const { events, skippedEvents, violation, index } = verdict;
  if (violation === null) return { events, skippedEvents, rule: null, sentence: null, address: null, event: null };
  const { rule, message } = violation;
  return {
    events,
    skippedEvents,
    rule,
    sentence: message,
    address: addressOf(trace, index),
    event: trace.numberOf(index),
  };
}
