// How urgent a message of the server's log is.

/** `error`: a person must repair something. `warning`: something is wrong. `info`: everything else. */
export type LogLevel = "error" | "warning" | "info";

/** The levels by their number in syslog. */
export const LOG_LEVELS: Readonly<Record<LogLevel, number>> = { error: 3, warning: 4, info: 6 };

/** Writes a sentence to the server's log. */
export type Log = (sentence: string, level: LogLevel) => void;

/** The level of a priority as syslog numbers it. */
export function levelOf(priority: number): LogLevel {
  if (priority <= LOG_LEVELS.error) return "error";
  return priority <= LOG_LEVELS.warning ? "warning" : "info";
}
