// A log that a confused kernel cannot flood: it can have thousands of requests refused in a second.

import type { Log, LogLevel } from "../node/log-level.ts";

/** Sentences of one level in any second; of those beyond it the number is shown. */
export const SENTENCES_PER_SECOND_MAX = 20;

/** Passes sentences on to `show`, not too many in a second. `uptimeS` tells the time, in seconds. */
export function limitedLog(show: Log, uptimeS: () => number = process.uptime): Log {
  let second = 0;
  let shown = countsByLevel();
  let suppressed = countsByLevel();
  return (sentence, level) => {
    const now = Math.floor(uptimeS());
    if (now !== second) {
      for (const [which, count] of Object.entries(suppressed) as [LogLevel, number][]) {
        if (count > 0) show(`… and ${count} more sentences like these.`, which);
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
