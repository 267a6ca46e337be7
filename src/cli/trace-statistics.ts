// Figures of a trace as a table.

import type { Distribution, RequestFigures, TraceStatistics } from "../common/trace/statistics.ts";
import { formatCount } from "./sizes.ts";

type Names = readonly (string | undefined)[];

const NS_PER_SECOND = 1e9;

/** The figures for a program, with the names of request types instead of their numbers. */
export function statisticsObject(statistics: TraceStatistics, names: Names): object {
  return { ...statistics, requests: statistics.requests.map((one) => ({ ...one, type: nameOf(one, names) })) };
}

export function statisticsText(statistics: TraceStatistics, names: Names): string {
  const { events, firstNs, lastNs, completions, failedCompletions, ticks, marksPerFlush, flushes } = statistics;
  const lines = [
    `${formatCount(events)} events in ${((lastNs - firstNs) / NS_PER_SECOND).toFixed(3)} s`,
    "",
    ...requestTable(statistics, names),
    "",
    `Marked regions per flush: ${distributionText(marksPerFlush)}`,
    `Flushes of disk logs: ${formatCount(flushes.ofDiskLogs)}, of which ${formatCount(flushes.withoutWrite)} needed no write`,
    `Flushes answered by one write: ${distributionText(flushes.perWrite)}`,
    `Written to log devices: ${formatCount(statistics.deviceWrites)} extents, ${formatCount(statistics.deviceBytes)} bytes`,
    `Flushes of the legs: ${formatCount(statistics.legFlushes)}`,
    `State files: ${formatCount(statistics.stateWrites)} writes, ${formatCount(statistics.stateBytes)} bytes`,
    `Completions: ${formatCount(completions)}, of which ${formatCount(failedCompletions)} failed; wake-ups: ${formatCount(ticks)}; ` +
      `notices: ${formatCount(statistics.notices)}; traps of the core: ${formatCount(statistics.traps)}`,
  ];
  return lines.join("\n");
}

function requestTable({ requests }: TraceStatistics, names: Names): string[] {
  const head = ["request", "number", "refused", "unanswered", "at once", "median", "p99", "longest"];
  const rows = requests.map((one) => [
    nameOf(one, names),
    ...[one.count, one.refused, one.unanswered, one.answeredAtOnce].map(formatCount),
    ...[one.roundTripNs.median, one.roundTripNs.p99, one.roundTripNs.max].map(duration),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] as string).length)));
  return [head, ...rows].map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join("  "),
  );
}

function nameOf({ type }: RequestFigures, names: Names): string {
  return names[type] ?? `type ${type}`;
}

function distributionText({ count: number, mean, median, p99, max }: Distribution): string {
  if (number === 0) return "none";
  return `mean ${mean.toFixed(2)}, median ${median}, 99 % up to ${p99}, most ${max}`;
}

function duration(ns: number): string {
  if (ns === 0) return "0";
  if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} µs`;
  if (ns < NS_PER_SECOND) return `${(ns / 1e6).toFixed(1)} ms`;
  return `${(ns / NS_PER_SECOND).toFixed(1)} s`;
}
