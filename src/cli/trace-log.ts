// The logs that a trace names, as people name them: by UUID, or by luid.

import { printable } from "../common/printable.ts";
import { TraceError } from "../common/trace/format.ts";
import type { LogName } from "../common/trace/log-names.ts";
import type { Trace } from "../common/trace/trace.ts";

/** More names than these are counted. */
const NAMES_SHOWN_MAX = 20;

/** The logs of a trace with this UUID or this luid (decimal, or hexadecimal after `0x`). */
export function findLogs(trace: Trace, text: string): LogName[] {
  const named = trace.logs.filter(({ uuid }) => uuid === text);
  if (named.length > 0) return named;
  const luid = /^(\d+|0x[0-9a-f]+)$/i.test(text) ? BigInt(text) : null;
  return trace.logs.filter((log) => log.luid === luid);
}

/** The same. Throws a TraceError if there is none. */
export function logsNamed(trace: Trace, text: string): LogName[] {
  const found = findLogs(trace, text);
  if (found.length > 0) return found;
  throw new TraceError(`No event of the trace names the log "${printable(text)}". ${namesText(trace)}`);
}

/** Which log a question is about: its UUID, and its luid if one was named. Throws a TraceError if several could be meant. */
export function onlyLog(trace: Trace, text: string | undefined): { uuid: string; luid: bigint | null } {
  const logs = text === undefined ? trace.logs : logsNamed(trace, text);
  const uuids = [...new Set(logs.map(({ uuid }) => uuid))];
  const [uuid] = uuids;
  if (uuid === undefined) throw new TraceError("No event of the trace names a log.");
  if (uuids.length > 1) {
    const which = text === undefined ? "" : ` with the luid ${printable(text)}`;
    throw new TraceError(`The trace has several logs${which}. Choose one with --log. ${namesText(trace)}`);
  }
  return { uuid, luid: text === undefined || text === uuid ? null : (logs[0] as LogName).luid };
}

function namesText({ logs }: Trace): string {
  const names = [...new Set(logs.map(({ uuid }) => uuid))];
  if (names.length === 0) return "It names none.";
  const shown = names.slice(0, NAMES_SHOWN_MAX).map((uuid) => {
    const luids = logs.filter((log) => log.uuid === uuid).map(({ luid }) => luid);
    const more = luids.length > NAMES_SHOWN_MAX ? ` and ${luids.length - NAMES_SHOWN_MAX} more` : "";
    const list = luids.slice(0, NAMES_SHOWN_MAX).join(", ");
    return `${printable(uuid)} (luid ${list}${more})`;
  });
  const rest = names.length > shown.length ? `, and ${names.length - shown.length} more` : "";
  return `It names ${shown.join(", ")}${rest}.`;
}
