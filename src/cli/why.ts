// dm-ulog why: why a region was dirty and why it was resynced, in sentences.

import { printable } from "../common/printable.ts";
import { TraceError } from "../common/trace/format.ts";
import type { Trace } from "../common/trace/trace.ts";
import { type Told, Why, type WhySummary } from "../common/trace/why.ts";
import { jsonLine } from "./json-line.ts";
import { endQuietly } from "./quiet-end.ts";
import { formatCount } from "./sizes.ts";
import { loadCore, openTrace, withTraceErrors } from "./trace-files.ts";
import { onlyLog } from "./trace-log.ts";
import { ADDRESS_DIGITS, type Clock, checkClock, placeText, unixNsOf } from "./trace-time.ts";

export interface WhyOptions {
  region: number;
  /** UUID or luid of the log. */
  log?: string;
  /** Path of the core that recorded the trace, if it is not the installed one. */
  core?: string;
  /** Show every mark, clear and write, however many there are. */
  all?: boolean;
  /** Which times to show; the core's by default. */
  time?: Clock;
  json?: boolean;
}

/** Of marks, clears and writes that follow each other, so many are shown at the beginning and at the end. */
const MARKS_SHOWN = 4;

/** Returns the exit status: 0, or 2 if the question has no answer in the file. */
export function why(
  path: string,
  { region, log, core: corePath, all, time = "core", json }: WhyOptions,
): Promise<number> {
  endQuietly(process.stdout);
  return withTraceErrors(async () => {
    const core = await loadCore(corePath);
    const trace = openTrace([path], core.abi);
    checkClock(trace, time);
    const { uuid, luid } = onlyLog(trace, log);
    const asked = new Why(trace, core.module, core.console, { uuid, luid, region });
    const hasLuids = luid === null && trace.logs.filter((one) => one.uuid === uuid).length > 1;
    let title: string | null =
      `Region ${region} of the log ${printable(uuid)}${luid === null ? "" : ` (luid ${luid})`}`;
    const marks = all ? null : new MarksInARow();
    for (const told of asked.tell()) {
      if (json) {
        console.log(jsonLine(toldObject(trace, told, uuid, region)));
        continue;
      }
      if (title !== null) console.log(title);
      title = null;
      const line = toldText(told, placeText(trace, told.index, time), hasLuids);
      for (const one of marks === null ? [line] : marks.take(line, told)) console.log(one);
    }
    for (const one of marks?.end() ?? []) console.log(one);
    if (trace.problem !== null) console.error(`dm-ulog: ${path}: ${trace.problem}`);
    if (region >= asked.summary.regionCount) throw new TraceError(beyond(uuid, region, asked.summary));
    if (!json) console.log(`\n${summaryText(asked.summary)}`);
    return 0;
  });
}

/** Leaves out what lies in the midst of a long row of marks, clears and writes. */
class MarksInARow {
  private count = 0;
  private lastLines: string[] = [];
  private leftOut = 0;

  /** The lines to show at this one. */
  take(line: string, { subject }: Told): string[] {
    if (subject !== "marks") return [...this.end(), line];
    if (this.count < MARKS_SHOWN) {
      this.count++;
      return [line];
    }
    this.lastLines.push(line);
    if (this.lastLines.length > MARKS_SHOWN) {
      this.lastLines.shift();
      this.leftOut++;
    }
    return [];
  }

  /** The row has ended: the lines that are still to be shown. */
  end(): string[] {
    const number = formatCount(this.leftOut);
    const gap = `${" ".repeat(ADDRESS_DIGITS)} (${number} more marks, clears and writes: --all shows them)`;
    const lines = this.leftOut > 0 ? [gap, ...this.lastLines] : this.lastLines;
    this.count = 0;
    this.leftOut = 0;
    this.lastLines = [];
    return lines;
  }
}

function toldText({ luid, sentence }: Told, place: string, hasLuids: boolean): string {
  const log = hasLuids && luid !== null ? `[luid ${luid}] ` : "";
  return `${place}${log}${sentence}`;
}

function toldObject(
  trace: Trace,
  { address, index, timeNs, luid, subject, cause, sentence }: Told,
  uuid: string,
  region: number,
) {
  const unixNs = unixNsOf(trace, index);
  return {
    address,
    place: index,
    timeNs,
    unixNs: unixNs === null ? null : String(unixNs),
    log: uuid,
    luid: luid === null ? null : String(luid),
    region,
    subject,
    cause,
    sentence,
  };
}

function summaryText({ resyncs }: WhySummary): string {
  if (resyncs.size === 0) return "It was never handed out to be resynced.";
  const parts = [...resyncs].map(
    ([cause, { count, last }]) =>
      `${cause}: ${count === 1 ? "once" : `${count} times`} (${count === 1 ? "" : "last "}${last})`,
  );
  return `Handed out to be resynced, by cause: ${parts.join("; ")}.`;
}

function beyond(uuid: string, region: number, { regionCount }: WhySummary): string {
  const log = printable(uuid);
  return regionCount === 0
    ? `The trace does not hold the state of the log ${log} at any event: its regions cannot be told.`
    : `The log ${log} has no region ${region}: its ${regionCount} regions are 0 to ${regionCount - 1}.`;
}
