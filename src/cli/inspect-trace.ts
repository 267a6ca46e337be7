// Shows a trace to a person: the conversation line by line, or figures.

import { printable } from "../common/printable.ts";
import { addressOf } from "../common/trace/address.ts";
import { readEvent, type TraceEffect, type TraceEvent } from "../common/trace/event.ts";
import { speaksOf } from "../common/trace/event-regions.ts";
import { EVENT_ERROR, NO_LOG } from "../common/trace/event-table.ts";
import { TraceError } from "../common/trace/format.ts";
import { originInWords } from "../common/trace/section-origin.ts";
import { traceStatistics } from "../common/trace/statistics.ts";
import type { Section, Trace } from "../common/trace/trace.ts";
import { EventWords } from "../common/trace/words.ts";
import { loadCore, openTrace } from "./trace-files.ts";
import { logsNamed } from "./trace-log.ts";
import { between, type Position } from "./trace-position.ts";
import { statisticsObject, statisticsText } from "./trace-statistics.ts";

/** Which events to show; all of them if nothing is set. */
export interface TraceFilter {
  /** UUID or luid of a log. */
  log?: string;
  /** A request's type without DM_ULOG_, or a kind of input such as `TICK`. */
  type?: string;
  /** Only events that speak of this region. */
  region?: number;
  from?: Position;
  to?: Position;
  errors?: boolean;
  limit?: number;
}

const NS_PER_SECOND = 1e9;
const ADDRESS_DIGITS = 8;
const UNIX_DIGITS = 19;

/** Prints a trace. Returns the exit status. */
export async function inspectTrace(
  path: string,
  options: TraceFilter & { stats?: boolean; json?: boolean },
): Promise<number> {
  const { abi, console: words } = await loadCore();
  const trace = openTrace([path], abi);
  const eventWords = new EventWords(abi, words);
  const chosen = chooseEvents(trace, options, eventWords);
  if (options.stats) {
    const statistics = traceStatistics(trace, chosen);
    const { requestNames } = eventWords;
    console.log(
      options.json
        ? JSON.stringify(statisticsObject(statistics, requestNames))
        : statisticsText(statistics, requestNames),
    );
  } else if (options.json) {
    for (const index of chosen) console.log(JSON.stringify(eventObject(trace, index, eventWords)));
  } else {
    printEvents(trace, chosen, eventWords);
  }
  if (trace.problem !== null) console.error(`dm-ulog: ${path}: ${trace.problem}`);
  return 0;
}

/** Indices of the events that pass a filter. Throws a TraceError if the filter names a log or type that does not exist. */
function chooseEvents(trace: Trace, filter: TraceFilter, { requestNames }: EventWords): Iterable<number> {
  const { log, region, from, to, errors, limit = Infinity } = filter;
  const named = log === undefined ? null : new Set(logsNamed(trace, log).map((one) => trace.logs.indexOf(one)));
  const isBetween = between(trace, from, to);
  const isOfType = typeFilter(trace, filter.type, requestNames);
  const { flags, logs } = trace.events;
  const isChosen = (index: number) =>
    isBetween(index) &&
    isOfType(index) &&
    (!errors || ((flags[index] as number) & EVENT_ERROR) !== 0) &&
    (named === null || named.has(logs[index] as number)) &&
    (region === undefined || speaksOf(trace, index, region));
  return (function* () {
    let left = limit;
    for (let index = 0; index < trace.eventCount && left > 0; index++) {
      if (!isChosen(index)) continue;
      left--;
      yield index;
    }
  })();
}

function typeFilter(
  trace: Trace,
  name: string | undefined,
  requestNames: EventWords["requestNames"],
): (index: number) => boolean {
  if (name === undefined) return () => true;
  const { abi, events } = trace;
  const wanted = name.toUpperCase().replace(/^DM_ULOG_/, "");
  const kinds = new Map([
    ["COMPLETION", abi.INPUT_KIND_COMPLETION],
    ["TICK", abi.INPUT_KIND_TICK],
    ["RESTORE", abi.INPUT_KIND_RESTORE],
    ["CONFIGURE", abi.INPUT_KIND_CONFIGURE],
  ]);
  const kind = kinds.get(wanted);
  if (kind !== undefined) return (index) => events.kinds[index] === kind;
  const type = requestNames.indexOf(wanted);
  if (type < 0) {
    const known = [...requestNames.filter((one) => one !== undefined), ...kinds.keys()].join(", ");
    throw new TraceError(`There is no type "${name}". The types are: ${known}.`);
  }
  return (index) =>
    events.kinds[index] === abi.INPUT_KIND_DATAGRAM && events.types[index] === type && events.logs[index] !== NO_LOG;
}

function printEvents(trace: Trace, chosen: Iterable<number>, words: EventWords): void {
  let section: Section | undefined;
  let count = 0;
  for (const index of chosen) {
    const current = trace.sectionOf(index);
    if (current !== section) console.log(sectionText(trace, current));
    section = current;
    console.log(eventText(trace, index, words));
    count++;
  }
  if (count === 0) console.log(trace.eventCount === 0 ? "The trace has no events." : "No event matches these options.");
}

function sectionText(trace: Trace, section: Section): string {
  const { number, application, coreSha256, firstEvent, clockUnixNs } = section;
  const clock = clockUnixNs === null ? "" : `, time 0 is ${new Date(Number(clockUnixNs / 1_000_000n)).toISOString()}`;
  const head = `── section ${number}, ${printable(application)}, core ${printable(coreSha256.slice(0, 12))}`;
  return `${head}: ${originInWords(trace, section)}, from event ${number}:${firstEvent} on${clock}`;
}

/** One line, and one more for each further answer. */
function eventText(trace: Trace, index: number, words: EventWords): string {
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
  if (!trace.isWhole(index)) rest.push("the file ends here, so outputs may be missing");
  const [answer, ...more] = answers;
  const line = `${addressOf(trace, index).padStart(ADDRESS_DIGITS)} ${seconds(trace.events.timesNs[index] as number)}  ${input}`;
  const outputs = [...(answer === undefined ? [] : [answer]), ...rest];
  const first = outputs.length === 0 ? line : `${line} → ${outputs.join("; ")}`;
  return [first, ...more.map((text) => `${" ".repeat(ADDRESS_DIGITS + 1 + UNIX_DIGITS)}→ ${text}`)].join("\n");
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

function eventObject(trace: Trace, index: number, words: EventWords): object {
  const { input, effects, problem } = readEvent(trace, index);
  const { timesNs, logs } = trace.events;
  const log = logs[index] === NO_LOG ? undefined : trace.logs[logs[index] as number];
  return {
    address: addressOf(trace, index),
    event: trace.numberOf(index),
    place: index,
    timeNs: timesNs[index],
    log: log?.uuid ?? null,
    luid: log === undefined ? null : String(log.luid),
    input: words.input(input),
    effects: effects.map((effect) => words.effect(effect)),
    problem,
    isWhole: trace.isWhole(index),
  };
}

function seconds(timeNs: number): string {
  return `${(timeNs / NS_PER_SECOND).toFixed(9)} s`.padStart(UNIX_DIGITS - 2);
}
