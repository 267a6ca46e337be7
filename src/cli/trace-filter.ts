// Which events of a trace a person wants to see.

import { speaksOf } from "../common/trace/event-regions.ts";
import { EVENT_ERROR, NO_LOG } from "../common/trace/event-table.ts";
import { TraceError } from "../common/trace/format.ts";
import type { Trace } from "../common/trace/trace.ts";
import type { EventWords } from "../common/trace/words.ts";
import { findLogs, logsNamed } from "./trace-log.ts";
import { between, type Position } from "./trace-position.ts";

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

type Choice = (index: number) => boolean;

/**
 * Whether an event passes a filter; `limit` is left to the caller. Throws a TraceError if the filter names a log, a type or an
 * event that does not exist. Where the trace grows, the log may come later.
 */
export function filterOf(trace: Trace, filter: TraceFilter, { requestNames }: EventWords, grows: boolean): Choice {
  const { log, region, from, to, errors } = filter;
  const isOfLog = log === undefined ? () => true : logFilter(trace, log, grows);
  const isBetween = between(trace, from, to);
  const isOfType = typeFilter(trace, filter.type, requestNames);
  // The table's arrays are others when it has grown.
  return (index) =>
    isBetween(index) &&
    isOfType(index) &&
    (!errors || ((trace.events.flags[index] as number) & EVENT_ERROR) !== 0) &&
    isOfLog(index) &&
    (region === undefined || speaksOf(trace, index, region));
}

function logFilter(trace: Trace, text: string, grows: boolean): Choice {
  if (!grows) logsNamed(trace, text);
  let named = new Set<number>();
  let known = 0;
  return (index) => {
    if (trace.logs.length !== known) named = new Set(findLogs(trace, text).map((log) => trace.logs.indexOf(log)));
    known = trace.logs.length;
    return named.has(trace.events.logs[index] as number);
  };
}

function typeFilter(trace: Trace, name: string | undefined, requestNames: EventWords["requestNames"]): Choice {
  if (name === undefined) return () => true;
  const { abi } = trace;
  const wanted = name.toUpperCase().replace(/^DM_ULOG_/, "");
  const kinds = new Map([
    ["COMPLETION", abi.INPUT_KIND_COMPLETION],
    ["TICK", abi.INPUT_KIND_TICK],
    ["RESTORE", abi.INPUT_KIND_RESTORE],
    ["CONFIGURE", abi.INPUT_KIND_CONFIGURE],
    ["FORGET", abi.INPUT_KIND_FORGET],
  ]);
  const kind = kinds.get(wanted);
  if (kind !== undefined) return (index) => trace.events.kinds[index] === kind;
  const type = requestNames.indexOf(wanted);
  if (type < 0) {
    const known = [...requestNames.filter((one) => one !== undefined), ...kinds.keys()].join(", ");
    throw new TraceError(`There is no type "${name}". The types are: ${known}.`);
  }
  return (index) => {
    const { kinds: kindOf, types, logs } = trace.events;
    return kindOf[index] === abi.INPUT_KIND_DATAGRAM && types[index] === type && logs[index] !== NO_LOG;
  };
}
