// dm-ulog replay: feeds a recorded trace to a core and compares its output with the recording.

import cliProgress from "cli-progress";
import { checkTrace, type TraceVerdict } from "../common/model/trace-check.ts";
import { addressOf } from "../common/trace/address.ts";
import { readEvent } from "../common/trace/event.ts";
import { type ReplaySummary, replay as replayTrace } from "../common/trace/replay.ts";
import type { Trace } from "../common/trace/trace.ts";
import { EventWords } from "../common/trace/words.ts";
import { loadCore, openTrace, withTraceErrors } from "./trace-files.ts";

export interface ReplayOptions {
  /** Path of another core than the installed one. */
  core?: string;
  /** Whether to hold the recording against the model of the protocol too. */
  model?: boolean;
  json?: boolean;
}

/** A shorter replay ends before anybody could see a bar. */
const BAR_EVENTS_MIN = 300_000;
const NS_PER_SECOND = 1e9;

const count = (value: number) => value.toLocaleString("en-US");

/**
 * Returns the exit status: 0 if every output is as recorded, 1 if one differs or breaks a rule of the protocol, 2 if the trace
 * cannot be replayed.
 */
export function replay(paths: string[], options: ReplayOptions): Promise<number> {
  return withTraceErrors(async () => {
    const core = await loadCore(options.core);
    const trace = openTrace(paths, core.abi);
    const bar = new ProgressBar();
    let summary: ReplaySummary;
    try {
      summary = replayTrace(trace, core.module, { onProgress: (done, total) => bar.show(done, total) });
    } finally {
      bar.stop();
    }
    const words = new EventWords(core.abi, core.console);
    const verdict = options.model ? checkTrace(trace) : null;
    if (options.json) {
      console.log(JSON.stringify({ ...summaryObject(trace, summary, words), model: verdictObject(trace, verdict) }));
    } else {
      console.log(summaryText(trace, summary, words));
      if (verdict !== null) console.log(verdictText(trace, verdict, words));
    }
    return summary.isEqual && (verdict?.violation ?? null) === null ? 0 : 1;
  });
}

/** Shown only on a terminal, and only for long traces. */
class ProgressBar {
  private bar: cliProgress.SingleBar | null = null;

  show(done: number, total: number): void {
    if (!process.stderr.isTTY || total < BAR_EVENTS_MIN) return;
    if (this.bar === null) {
      const format = "replaying  [{bar}] {percent} %  {value}/{total} events";
      this.bar = new cliProgress.SingleBar(
        { format, hideCursor: true, clearOnComplete: true },
        cliProgress.Presets.rect,
      );
      this.bar.start(total, done);
    }
    this.bar.update(done);
  }

  stop(): void {
    this.bar?.stop();
  }
}

function summaryText(trace: Trace, summary: ReplaySummary, words: EventWords): string {
  const { difference, events, digest, skippedEvents, cutIndex, problem } = summary;
  const lines: string[] = [];
  if (difference === null) {
    lines.push(
      "Every output is as it was recorded.",
      `${count(events)} events in ${spanSeconds(trace).toFixed(3)} s of recorded time, ${requestText(summary, words)}`,
      `digest ${digest}`,
    );
  } else {
    lines.push(words.difference(trace, difference), `The ${count(events)} events before it are as recorded.`);
  }
  if (skippedEvents > 0) {
    lines.push(`${count(skippedEvents)} events were skipped: the trace does not hold the engine's state before them.`);
  }
  if (cutIndex !== null) lines.push(`The last event, ${addressOf(trace, cutIndex)}, is incomplete and does not count.`);
  if (problem !== null) lines.push(problem);
  return lines.join("\n");
}

function summaryObject(trace: Trace, summary: ReplaySummary, words: EventWords): object {
  const { isEqual, difference, events, digest, skippedEvents, cutEvent, problem } = summary;
  return {
    isEqual,
    events,
    requests: Object.fromEntries(requestCounts(summary, words)),
    seconds: spanSeconds(trace),
    digest,
    skippedEvents,
    cutEvent,
    problem,
    difference:
      difference === null
        ? null
        : {
            address: addressOf(trace, difference.index),
            event: difference.number,
            place: difference.index,
            effect: difference.effect,
            firstByte: difference.firstByte,
            words: words.difference(trace, difference).split("\n"),
          },
  };
}

/** What the model says of the recording, whatever this core would have answered. */
function verdictText(
  trace: Trace,
  { events, violation, index, skippedEvents }: TraceVerdict,
  words: EventWords,
): string {
  const lines: string[] = [];
  if (violation === null) {
    lines.push(`The model agrees: ${count(events)} events keep every rule of docs/protocol-rules.md.`);
  } else {
    const seconds = (trace.events.timesNs[index] as number) / NS_PER_SECOND;
    const input = words.input(readEvent(trace, index).input);
    lines.push(
      `Event ${addressOf(trace, index)} at ${seconds.toFixed(6)} s breaks a rule: ${input}`,
      violation.message,
    );
  }
  if (skippedEvents > 0) {
    lines.push(`${count(skippedEvents)} events were not judged: they follow a state that only the core knew.`);
  }
  return lines.join("\n");
}

/** Null where the model was not asked for. */
function verdictObject(trace: Trace, verdict: TraceVerdict | null): object | null {
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

/** The number of requests of each type that occurs, by the type's name. */
function requestCounts({ requests }: ReplaySummary, { requestNames }: EventWords): [string, number][] {
  return requests
    .map((number, type): [string, number] => [requestNames[type] ?? "unknown", number])
    .filter(([, number]) => number > 0);
}

function requestText(summary: ReplaySummary, words: EventWords): string {
  const counts = requestCounts(summary, words);
  const total = counts.reduce((sum, [, number]) => sum + number, 0);
  if (total === 0) return "no requests";
  return `${count(total)} requests: ${counts.map(([name, number]) => `${name} ${count(number)}`).join(", ")}`;
}

/** From the first event to the last, on the core's clock. */
function spanSeconds({ events, eventCount }: Trace): number {
  if (eventCount === 0) return 0;
  return ((events.timesNs[eventCount - 1] as number) - (events.timesNs[0] as number)) / NS_PER_SECOND;
}
