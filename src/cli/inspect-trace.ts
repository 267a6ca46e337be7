// Shows a trace to a person: the conversation line by line, or figures.

import { setTimeout as sleep } from "node:timers/promises";
import { printable } from "../common/printable.ts";
import { readEvent, type TraceEffect, type TraceEvent } from "../common/trace/event.ts";
import { TraceError } from "../common/trace/format.ts";
import { originInWords } from "../common/trace/section-origin.ts";
import { traceStatistics } from "../common/trace/statistics.ts";
import { type Section, Trace } from "../common/trace/trace.ts";
import { EventWords } from "../common/trace/words.ts";
import { eventObject } from "./event-object.ts";
import { FollowedFile } from "./followed-file.ts";
import { jsonLine } from "./json-line.ts";
import { type Core, loadCore, openTrace } from "./trace-files.ts";
import { filterOf, type TraceFilter } from "./trace-filter.ts";
import { statisticsObject, statisticsText } from "./trace-statistics.ts";
import { type Clock, checkClock, placeText } from "./trace-time.ts";

export interface InspectTraceOptions extends TraceFilter {
  stats?: boolean;
  json?: boolean;
  /** Which times to show; the core's by default. */
  time?: Clock;
  /** Whether to go on as the file grows, until SIGINT. */
  follow?: boolean;
}

/** How often to look whether a followed file has grown. */
const FOLLOW_MS = 200;

/** Prints a trace. Returns the exit status. */
export async function inspectTrace(path: string, options: InspectTraceOptions): Promise<number> {
  const core = await loadCore();
  if (options.follow) {
    if (options.stats) throw new TraceError("Figures are of a whole trace: leave out --follow or --stats.");
    return follow(path, options, core);
  }
  const trace = openTrace([path], core.abi);
  const words = new EventWords(core.abi, core.console);
  const { limit = Infinity } = options;
  const isChosen = filterOf(trace, options, words, false);
  const chosen = (function* () {
    let left = limit;
    for (let index = 0; index < trace.eventCount && left > 0; index++) {
      if (!isChosen(index)) continue;
      left--;
      yield index;
    }
  })();
  if (options.stats) {
    const statistics = traceStatistics(trace, chosen);
    const { requestNames } = words;
    console.log(
      options.json ? jsonLine(statisticsObject(statistics, requestNames)) : statisticsText(statistics, requestNames),
    );
  } else {
    const printer = new EventPrinter(trace, words, options);
    for (const index of chosen) printer.print(index);
    if (printer.count === 0 && !options.json)
      console.log(trace.eventCount === 0 ? "The trace has no events." : "No event matches these options.");
  }
  if (trace.problem !== null) console.error(`dm-ulog: ${path}: ${trace.problem}`);
  return 0;
}

/** Prints events as they are appended to the file, and of the file that takes its place, until SIGINT or the limit. */
async function follow(path: string, options: InspectTraceOptions, { abi, console: control }: Core): Promise<number> {
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort());
  const words = new EventWords(abi, control);
  let left = options.limit ?? Infinity;
  let file = new FollowedFile(path);
  let filter: TraceFilter = options;
  for (;;) {
    file.read();
    const trace = await begun(file, abi, interrupt.signal);
    if (trace === null) break;
    const printer = new EventPrinter(trace, words, options);
    const isChosen = filterOf(trace, filter, words, true);
    for (let next = 0; left > 0; ) {
      const isGrown = file.read();
      if (isGrown) trace.extend(file.content);
      trace.scan();
      // The last event may lack outputs while its blocks are being written.
      const isRest = !isGrown && next < trace.eventCount;
      const end = isGrown && !trace.isWhole(trace.eventCount - 1) ? trace.eventCount - 1 : trace.eventCount;
      for (; next < end && left > 0; next++) {
        if (!isChosen(next)) continue;
        printer.print(next);
        left--;
      }
      if (isGrown || isRest) continue;
      if (interrupt.signal.aborted || file.isReplaced) break;
      await sleep(FOLLOW_MS, undefined, { signal: interrupt.signal }).catch(() => {});
    }
    if (trace.problem !== null && interrupt.signal.aborted) console.error(`dm-ulog: ${path}: ${trace.problem}`);
    file.close();
    if (left === 0 || interrupt.signal.aborted) break;
    // Positions were of the file before.
    filter = { ...options };
    delete filter.from;
    delete filter.to;
    if (!options.json) console.log(`── ${printable(path)} is a new file: the recording goes on there`);
    file = new FollowedFile(path);
  }
  return 0;
}

/** The trace of a followed file, as soon as its header is there; null if that does not come before the signal. */
async function begun(file: FollowedFile, abi: Core["abi"], signal: AbortSignal): Promise<Trace | null> {
  for (;;) {
    try {
      return Trace.open(file.content, abi);
    } catch (error) {
      if (!(error instanceof TraceError) || file.content.length >= HEADER_BYTES_MAX) throw error;
      if (signal.aborted) throw error;
    }
    await sleep(FOLLOW_MS, undefined, { signal }).catch(() => {});
    file.read();
  }
}

/** More than a section's header takes: a file of so many bytes that does not begin with one is no trace. */
const HEADER_BYTES_MAX = 4096;

/** Prints events, and the head of each section before its first one. */
class EventPrinter {
  count = 0;
  private section: Section | undefined;

  constructor(
    private readonly trace: Trace,
    private readonly words: EventWords,
    private readonly options: InspectTraceOptions,
  ) {
    checkClock(trace, options.time ?? "core");
  }

  print(index: number): void {
    const { trace, words, options } = this;
    this.count++;
    if (options.json) {
      console.log(jsonLine(eventObject(trace, index, words)));
      return;
    }
    const section = trace.sectionOf(index);
    if (section !== this.section) console.log(sectionText(trace, section));
    this.section = section;
    console.log(this.eventText(index));
  }

  /** One line, and one more for each further answer. */
  private eventText(index: number): string {
    const { trace, words, options } = this;
    const event = readEvent(trace, index);
    const input = words.input(event.input);
    const answers: string[] = [];
    const rest: string[] = [];
    for (const effect of visible(event, trace)) {
      const text = words.effect(effect);
      if (effect.kind === trace.abi.EFFECT_KIND_SEND) answers.push(shortAnswer(input, text));
      else rest.push(text);
    }
    const states = stateWrites(event, trace);
    if (states > 0) rest.push(`${states} state ${states === 1 ? "write" : "writes"}`);
    if (event.problem !== null) rest.push(`damaged: ${event.problem}`);
    if (!trace.isWhole(index) && !options.follow) rest.push("the file ends here, so outputs may be missing");
    const [answer, ...more] = answers;
    const start = placeText(trace, index, options.time ?? "core");
    const outputs = [...(answer === undefined ? [] : [answer]), ...rest];
    const first = outputs.length === 0 ? `${start}${input}` : `${start}${input} → ${outputs.join("; ")}`;
    return [first, ...more.map((text) => `${" ".repeat(start.length)}→ ${text}`)].join("\n");
  }
}

function sectionText(trace: Trace, section: Section): string {
  const { number, application, coreSha256, firstEvent, clockUnixNs } = section;
  const clock = clockUnixNs === null ? "" : `, time 0 is ${new Date(Number(clockUnixNs / 1_000_000n)).toISOString()}`;
  const head = `── section ${number}, ${printable(application)}, core ${printable(coreSha256.slice(0, 12))}`;
  return `${head}: ${originInWords(trace, section)}, from event ${number}:${firstEvent} on${clock}`;
}

/** State writes come by the dozen, so only their number is shown. */
function visible({ effects }: TraceEvent, { abi }: Trace): TraceEffect[] {
  return effects.filter(({ kind }) => kind !== abi.EFFECT_KIND_STATE_WRITE);
}

function stateWrites({ effects }: TraceEvent, { abi }: Trace): number {
  return effects.filter(({ kind }) => kind === abi.EFFECT_KIND_STATE_WRITE).length;
}

/** An answer without the words that the request beside it already shows. */
function shortAnswer(request: string, answer: string): string {
  const [, head, words] = /^(.* v\d+)(?:: (.*))?$/s.exec(answer) ?? [];
  if (head === undefined || !request.startsWith(head.replace(" reply #", " #"))) return answer;
  return words ?? "answered";
}
