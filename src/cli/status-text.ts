// What dm-ulog status tells a person. Names come from outside: no character of them that a terminal might obey is printed.

import type { LogDescription } from "../common/console.ts";
import { printable } from "../common/printable.ts";
import { nameOf } from "../node/control/listener-watch.ts";
import { bar } from "./progress-bars.ts";
import { formatBytes, formatSeconds } from "./sizes.ts";
import { type Problem, type ReportedMirror, SILENT_SECONDS, type StatusReport } from "./status-report.ts";
import { textTable } from "./text-table.ts";

const NO_MIRRORS = "No mirrors: none uses this server yet, and none is declared.";
/** Of a name in a line of the watch, which must have room for its bar. */
const WATCHED_NAME_MAX = 30;

/** What a mirror waits for, in a word or two. */
const WAITS_FOR: Partial<Record<Problem["kind"], string>> = {
  "no-server": "a server",
  "server-stuck": "the server",
  "log-not-ready": "the server",
  suspended: "a resume",
  "log-device-failed": "its log device",
  "log-device-hangs": "its log device",
  "leg-failed": "another table",
  "regions-failed": "its leg",
  "resync-stands-still": "suspend, resume",
};

/** Told once for all mirrors. */
const TOLD_AT_THE_TOP: readonly Problem["kind"][] = ["no-server", "server-stuck"];

export function statusText(report: StatusReport, hasUuids = false): string {
  return [...serverLines(report), ...tableLines(report, hasUuids), ...problemLines(report)].map(printable).join("\n");
}

/** The same with a bar for each mirror, for a terminal on which it is drawn again and again; sentences fit its columns. */
export function watchLines(report: StatusReport, columns: number): string[] {
  const rows = [
    ...report.mirrors.map((mirror) => {
      const waits = waitsFor(mirror);
      const state = mirror.state === "up" ? "" : mirror.state;
      const words = [state, resyncText(mirror), waits === "" ? "" : `waits for ${waits}`];
      return { name: mirror.name, sync: mirror.sync, words: words.filter((text) => text !== "") };
    }),
    ...otherLogs(report).map((log) => ({ name: `log ${log.uuid}`, sync: log, words: [] })),
  ];
  const width = Math.max(...rows.map(({ name }) => shortened(name).length));
  const bars = rows.map(({ name, sync, words }) => {
    const done = sync === null ? [] : [`${bar(sync.inSyncRegions, sync.regionCount)} ${shareText(sync).padStart(7)}`];
    return [shortened(name).padEnd(width), ...done, ...words].join("  ").trimEnd();
  });
  const rest = rows.length === 0 ? [NO_MIRRORS] : bars;
  const sentences = (lines: readonly string[]) => lines.flatMap((line) => wrapped(line, columns));
  return [...sentences(serverLines(report)), ...rest, ...sentences(problemLines(report))].map(printable);
}

/** Broken at blanks. A word that is longer than a line stays whole. */
function wrapped(text: string, columns: number): string[] {
  const indent = /^ */.exec(text)?.[0] ?? "";
  const lines: string[] = [];
  for (const word of text.trim().split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(indent + word);
  }
  return lines;
}

function shortened(name: string): string {
  if (name.length <= WATCHED_NAME_MAX) return name;
  const half = WATCHED_NAME_MAX / 2 - 1;
  return `${name.slice(0, half)}..${name.slice(-half)}`;
}

function serverLines({ server, serverError, mirrors }: StatusReport): string[] {
  if (server === null) {
    const waiting = mirrors.filter(({ problems }) => problems.some(({ kind }) => kind === "no-server")).length;
    const consequence = waiting === 0 ? "" : ` ${countText(waiting, "mirror waits", "mirrors wait")} for a server.`;
    return [`${serverError}${consequence}`];
  }
  const { host, version, pid, uptimeSeconds, silentSeconds, overruns, others, busyDevices } = server;
  const kind = host === "native" ? "native host, " : "";
  const lines = [`dm-ulog ${version}, ${kind}process ${pid}, serving for ${uptimeSeconds} s`];
  if (silentSeconds > SILENT_SECONDS) {
    lines.push(
      `Its request thread was last seen at work ${Math.round(silentSeconds)} s ago: it is stuck, and mirrors wait.`,
    );
  }
  if (overruns > 0) {
    lines.push(`Its receive buffer was full ${overruns} times: requests were lost, and asked for again.`);
  }
  for (const listener of others.listeners) {
    const drops = listener.drops > 0 ? ` and dropped ${listener.drops} of them` : " too";
    lines.push(`${nameOf(listener)} receives the kernel's requests${drops}. See: sudo dm-ulog doctor`);
  }
  // Of mirrors that cannot be named. What the others suffer from is told with them.
  const known = new Set(mirrors.flatMap(({ log }) => log?.uuid ?? []));
  for (const { uuid, operation, seconds } of busyDevices.filter((busy) => !known.has(busy.uuid))) {
    lines.push(`The log device of the log ${uuid} hangs: a ${operation} has taken ${seconds} s so far.`);
  }
  const toCheck = others.toCheck.filter((uuid) => !known.has(uuid));
  if (toCheck.length > 0) {
    lines.push(
      `Legs may differ although the logs say in sync, so check the mirrors of: ${toCheck.join(", ")}. See: sudo dm-ulog doctor`,
    );
  }
  return lines;
}

interface Column {
  title: string;
  /** Left out where it is empty in every row. */
  isOptional?: boolean;
  cell(mirror: ReportedMirror): string;
}

function tableLines(report: StatusReport, hasUuids: boolean): string[] {
  const { mirrors, mirrorsError, logs } = report;
  const hasDeclared = mirrors.some(({ isDeclared }) => isDeclared);
  const columns: Column[] = [
    { title: "mirror", cell: ({ name }) => name },
    { title: "state", cell: (mirror) => stateText(mirror, hasDeclared) },
    { title: "size", cell: ({ sizeBytes }) => (sizeBytes === null ? "" : formatBytes(sizeBytes)) },
    { title: "in sync", cell: ({ sync }) => (sync === null ? "" : shareText(sync)) },
    { title: "resync", isOptional: true, cell: resyncText },
    { title: "waits for", isOptional: true, cell: waitsFor },
    { title: "log", cell: logText },
    { title: "legs", cell: legsText },
  ];
  if (hasUuids) {
    columns.push(
      { title: "log's UUID", cell: ({ log }) => log?.uuid ?? "" },
      { title: "luid", cell: ({ log }) => (log?.luid == null ? "" : String(log.luid)) },
      { title: "log type", cell: ({ log }) => log?.type ?? "" },
    );
  }
  const lines: string[] = [];
  if (mirrorsError !== null) lines.push(mirrorsError);
  else if (mirrors.length + logs.length === 0) lines.push(NO_MIRRORS);
  if (mirrors.length > 0) {
    const shown = columns.filter(
      ({ isOptional, cell }) => isOptional !== true || mirrors.some((one) => cell(one) !== ""),
    );
    lines.push(
      ...textTable(
        shown.map(({ title }) => title),
        mirrors.map((mirror) => shown.map(({ cell }) => printable(cell(mirror)))),
      ).split("\n"),
    );
  }
  return [...lines, ...otherLogLines(report)];
}

/** Logs of the server that no mirror in the table has. */
function otherLogs({ logs, mirrors }: StatusReport): LogDescription[] {
  const known = new Set(mirrors.flatMap(({ log }) => log?.uuid ?? []));
  return logs.filter(({ uuid }) => !known.has(uuid));
}

function otherLogLines(report: StatusReport): string[] {
  const others = otherLogs(report);
  if (others.length === 0) return [];
  const rows = others.map((log) => [
    printable(log.uuid),
    String(log.luid),
    log.type,
    log.state,
    shareText(log),
    deviceText(log),
  ]);
  return [
    "The server keeps logs that no mirror of this kernel has:",
    ...textTable(["log's UUID", "luid", "type", "state", "in sync", "log device"], rows).split("\n"),
  ];
}

function deviceText({ device }: LogDescription): string {
  if (device === null) return "memory";
  const name = device.major === 0 && device.minor === 0 ? "file" : `${device.major}:${device.minor}`;
  return device.error === null ? name : `${name} FAILED`;
}

function stateText({ state, isDeclared, problems }: ReportedMirror, hasDeclared: boolean): string {
  const words: string[] = [state === "other" ? "another device" : state];
  if (state !== "other" && problems.some(({ kind }) => kind === "differs")) words.push("differs from its file");
  if (hasDeclared && !isDeclared) words.push("not declared");
  return words.join(", ");
}

/** Rounded down, so that 100.0 means every region. */
function shareText({ inSyncRegions, regionCount }: { inSyncRegions: number; regionCount: number }): string {
  return `${(Math.floor((inSyncRegions / regionCount) * 1000) / 10).toFixed(1)} %`;
}

function resyncText({ sync }: ReportedMirror): string {
  if (sync === null || sync.outOfSyncRegions === 0) return "";
  const left = formatBytes(sync.outOfSyncRegions * sync.regionSizeBytes);
  if (sync.bytesPerSecond === null || sync.secondsLeft === null) {
    return sync.isBeingCopied ? `${left} left` : `${left} out of sync`;
  }
  return `${left} left at ${formatBytes(sync.bytesPerSecond)}/s, ${formatSeconds(sync.secondsLeft)}`;
}

function waitsFor({ problems }: ReportedMirror): string {
  const first = problems.find(({ isWaiting }) => isWaiting);
  return first === undefined ? "" : (WAITS_FOR[first.kind] ?? "");
}

function logText({ log }: ReportedMirror): string {
  if (log === null) return "";
  const waiting = log.waitingRequests === null || log.waitingRequests === 0 ? "" : `, ${log.waitingRequests} wait`;
  const state = log.deviceState === "failed" ? " FAILED" : log.deviceState === "hangs" ? " HANGS" : "";
  return `${log.device ?? "memory"}${state}${waiting}`;
}

/** The file may say of a leg that it is behind after it has caught up: the monitor strikes that out. */
function legsText({ legs, sync }: ReportedMirror): string {
  const isInSync = sync?.outOfSyncRegions === 0;
  return legs
    .map(({ name, health, isPresent, isBehind }) => {
      if (!isPresent) return `${name} MISSING`;
      if (isBehind && !isInSync) return `${name} BEHIND`;
      return health === null || health === "alive" ? name : `${name} FAILED`;
    })
    .join(", ");
}

function problemLines({ mirrors, legHealthError, server }: StatusReport): string[] {
  const lines = mirrors
    .flatMap(({ problems }) => problems)
    .filter(({ kind }) => !TOLD_AT_THE_TOP.includes(kind))
    .flatMap(({ what, remedy }) => [...what.split("\n"), ...(remedy === null ? [] : [`  ${remedy}`])]);
  if (legHealthError !== null && server !== null) lines.push(`Whether legs have failed is unknown: ${legHealthError}.`);
  return lines;
}

function countText(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
