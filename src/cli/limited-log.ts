// A log that a confused kernel cannot flood, even if it makes the server refuse thousands of requests per second.

import type { Log, LogLevel } from "../node/log-level.ts";

/** Sentences of one level that are shown in any second. Of the others only the number is shown. */
export const SENTENCES_PER_SECOND_MAX = 20;

/** Passes a limited number of sentences per second on to `show`. `uptimeS` returns the time in seconds. */
export function limitedLog(show: Log, uptimeS: () => number = process.uptime): Log {
  let second = 0;
  let shown = countsByLevel();
  let suppressed = countsByLevel();
  return (sentence, level) => {
    const now = Math.floor(uptimeS());
    if (now !== second) {
      for (const [which, count] of Object.entries(suppressed) as [LogLevel, number][]) {
        if (count > 0) show(`… and ${count} more messages of this level.`, which);
      }
      second = now;
      shown = countsByLevel();
      suppressed = countsByLevel();
    }
    if (shown[level]++ < SENTENCES_PER_SECOND_MAX) show(sentence, level);
    else suppressed[level]++;
  };
}

function countsByLevel(): Record<LogLevel, number> {
  return { error: 0, warning: 0, info: 0 };
}
