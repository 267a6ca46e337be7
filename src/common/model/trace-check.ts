// Holds a trace against the model, without a core: what was recorded is judged, whoever answered.

import { readEvent } from "../trace/event.ts";
import { TraceError } from "../trace/format.ts";
import { runsOf } from "../trace/run.ts";
import type { Trace } from "../trace/trace.ts";
import { Conversation } from "./conversation.ts";
import { ModelLimit } from "./log-model.ts";
import { RuleViolation } from "./violation.ts";

export interface TraceVerdict {
  /** Events that were judged, and the requests among them. */
  events: number;
  requests: number;
  /** Events of runs whose beginning is not in the trace: what the core knew then only the core could say. */
  skippedEvents: number;
  /** The first violation, and where it is; null where there is none. */
  violation: RuleViolation | null;
  index: number;
}

/**
 * Judges a whole trace, up to the first violation. Throws a TraceError where an event is damaged, or a log has more regions than
 * the model follows.
 */
export function checkTrace(trace: Trace): TraceVerdict {
  const verdict: TraceVerdict = { events: 0, requests: 0, skippedEvents: 0, violation: null, index: -1 };
  for (const { section, firstIndex, endIndex } of runsOf(trace)) {
    if (section.start !== "fresh") {
      verdict.skippedEvents += endIndex - firstIndex;
      continue;
    }
    const conversation = new Conversation(trace.abi);
    for (let index = firstIndex; index < endIndex; index++) {
      // What a file was cut in is not the core's doing.
      if (!trace.isWhole(index)) break;
      const event = readEvent(trace, index);
      if (event.problem !== null) throw damaged(trace, index, event.problem);
      try {
        conversation.take(event);
      } catch (error) {
        if (error instanceof RuleViolation) return { ...verdict, violation: error, index };
        if (error instanceof ModelLimit) throw new TraceError(error.message);
        // An effect that is shorter than its kind.
        if (error instanceof RangeError) throw damaged(trace, index, error.message);
        throw error;
      }
      verdict.events++;
    }
    verdict.requests += conversation.requestCount;
  }
  return verdict;
}

function damaged(trace: Trace, index: number, why: string): TraceError {
  return new TraceError(`Event ${trace.numberOf(index)} is damaged: ${why}.`);
}
