// dm-ulog replay: feeds a recorded trace to a core and compares its output with the recording.

import { checkTrace, type TraceVerdict } from "../common/model/trace-check.ts";
import { printable } from "../common/printable.ts";
import { addressOf } from "../common/trace/address.ts";
import { TraceError } from "../common/trace/format.ts";
import { type ReplaySummary, replay as replayTrace } from "../common/trace/replay.ts";
import type { Trace } from "../common/trace/trace.ts";
import { EventWords } from "../common/trace/words.ts";
import { jsonLine } from "./json-line.ts";
import { verdictObject, verdictText } from "./model-verdict.ts";
import { bar, Picture } from "./progress-bars.ts";
import { formatCount } from "./sizes.ts";
import {
  type Core,
  EXIT_UNUSABLE,
  joinTraces,
  loadCore,
  openTrace,
  type RecordingFiles,
  recordingsOf,
  withTraceErrors,
} from "./trace-files.ts";

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

interface Replayed {
  trace: Trace;
  summary: ReplaySummary;
  /** What the model says of it; null where it was not asked. */
  verdict: TraceVerdict | null;
}

/** A file's result, or that of files that go on with each other; or why there is none. */
type Result = { files: readonly string[] } & (Replayed | { unusable: string });

/**
 * Returns the exit status: 0 if every output is as recorded, 1 if one differs or breaks a rule of the protocol, 2 if a trace cannot
 * be replayed.
 */
export function replay(paths: string[], options: ReplayOptions): Promise<number> {
  return withTraceErrors(async () => {
    const core = await loadCore(options.core);
    const words = new EventWords(core.abi, core.console);
    if (paths.length === 1) {
      const replayed = replayOne(openTrace(paths, core.abi), core.module, options);
      console.log(options.json ? jsonLine(replayedObject(replayed, words)) : replayedText(replayed, words));
      return isFine(replayed) ? 0 : 1;
    }
    const results: Result[] = [];
    for (const recording of recordingsOf(paths, core.abi)) {
      const result = resultOf(recording, core, options);
      results.push(result);
      if (!options.json) console.log(`${resultText(result, words)}\n`);
    }
    console.log(options.json ? jsonLine(resultsObject(results, words)) : sumText(results));
    return statusOf(results);
  });
}

function replayOne(trace: Trace, module: WebAssembly.Module, { model }: ReplayOptions): Replayed {
  const progress = new ReplayProgress();
  try {
    const summary = replayTrace(trace, module, { onProgress: (done, total) => progress.show(done, total) });
    return { trace, summary, verdict: model ? checkTrace(trace) : null };
  } finally {
    progress.stop();
  }
}

/** Whether every output is as recorded, and no rule is known to be broken. */
function isFine({ summary, verdict }: Replayed): boolean {
  return summary.isEqual && (verdict?.violation ?? null) === null;
}

/** One file that cannot be used does not keep the others from being replayed. */
function resultOf({ files, traces, problem }: RecordingFiles, { abi, module }: Core, options: ReplayOptions): Result {
  if (problem !== null) return { files, unusable: problem };
  try {
    return { files, ...replayOne(joinTraces(traces, abi), module, options) };
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    return { files, unusable: error.message };
  }
}

function statusOf(results: readonly Result[]): number {
  if (results.some((result) => "summary" in result && !isFine(result))) return 1;
  return results.some((result) => "unusable" in result) ? EXIT_UNUSABLE : 0;
}

function resultText(result: Result, words: EventWords): string {
  const names = result.files.map(printable).join(" and ");
  if ("unusable" in result) return `${names}: cannot be replayed. ${result.unusable}`;
  return `${names}: ${replayedText(result, words)}`;
}

function replayedText({ trace, summary, verdict }: Replayed, words: EventWords): string {
  const text = summaryText(trace, summary, words);
  return verdict === null ? text : `${text}\n${verdictText(trace, verdict, words)}`;
}

function replayedObject({ trace, summary, verdict }: Replayed, words: EventWords): object {
  return { ...summaryObject(trace, summary, words), model: verdictObject(trace, verdict) };
}

function sumText(results: readonly Result[]): string {
  const replayed = results.flatMap((result) => ("summary" in result ? [result] : []));
  const files = (some: readonly Result[]) => formatCount(some.reduce((sum, one) => sum + one.files.length, 0));
  const differing = replayed.filter(({ summary }) => !summary.isEqual);
  const unusable = results.filter((result) => "unusable" in result);
  const events = replayed.reduce((sum, { summary }) => sum + summary.events, 0);
  const parts = [
    `${files(replayed.filter(({ summary }) => summary.isEqual))} of ${files(results)} files are as recorded`,
  ];
  if (differing.length > 0) parts.push(`${files(differing)} differ: ${namesOf(differing)}`);
  const broken = replayed.filter(({ verdict }) => (verdict?.violation ?? null) !== null);
  if (broken.length > 0) parts.push(`${files(broken)} break a rule of the protocol: ${namesOf(broken)}`);
  if (unusable.length > 0) parts.push(`${files(unusable)} cannot be replayed: ${namesOf(unusable)}`);
  return `${parts.join("; ")}. ${formatCount(events)} events are as recorded in all.`;
}

function namesOf(results: readonly Result[]): string {
  return results.flatMap(({ files }) => files.map(printable)).join(", ");
}

function resultsObject(results: readonly Result[], words: EventWords): object {
  return {
    isEqual: statusOf(results) === 0,
    results: results.map((result) =>
      "unusable" in result
        ? { files: result.files, unusable: result.unusable }
        : { files: result.files, ...replayedObject(result, words) },
    ),
  };
}

/** Shown only on a terminal, and only for long traces. */
class ReplayProgress {
  private readonly picture = new Picture(process.stderr);

  show(done: number, total: number): void {
    if (!process.stderr.isTTY || total < BAR_EVENTS_MIN) return;
    this.picture.draw([`replaying  ${bar(done, total)} ${formatCount(done)} of ${formatCount(total)} events`]);
  }

  stop(): void {
    if (!this.picture.isEmpty) this.picture.draw([]);
  }
}

function summaryText(trace: Trace, summary: ReplaySummary, words: EventWords): string {
  const { difference, events, digest, skippedEvents, cutIndex, problem } = summary;
  const lines: string[] = [];
  if (difference === null) {
    lines.push(
      "Every output is as it was recorded.",
      `${formatCount(events)} events in ${spanSeconds(trace).toFixed(3)} s of recorded time, ${requestText(summary, words)}`,
      `digest ${digest}`,
    );
  } else {
    lines.push(words.difference(trace, difference), `The ${formatCount(events)} events before it are as recorded.`);
  }
  if (skippedEvents > 0) {
    lines.push(
      `${formatCount(skippedEvents)} events were skipped: the trace does not hold the engine's state before them.`,
    );
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
  return `${formatCount(total)} requests: ${counts.map(([name, number]) => `${name} ${formatCount(number)}`).join(", ")}`;
}

/** From the first event to the last, on the core's clock. */
function spanSeconds({ events, eventCount }: Trace): number {
  if (eventCount === 0) return 0;
  return ((events.timesNs[eventCount - 1] as number) - (events.timesNs[0] as number)) / NS_PER_SECOND;
}
