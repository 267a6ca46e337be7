// Finds out which logs were created, changed or removed since the last call.

import type { LogDescription } from "../common/console.ts";
import { toJson } from "../common/json.ts";

/** What has happened to a log. */
export interface LogChange {
  kind: "created" | "changed" | "removed";
  /** The log as it is now; if it was removed, as it was. */
  log: LogDescription;
  /** The log at the last reported change; null if it is new. */
  before: LogDescription | null;
}

export class LogWatch {
  private known = new Map<string, { log: LogDescription; text: string }>();

  /** The changes since the last call, removed logs first. */
  look(logs: readonly LogDescription[]): LogChange[] {
    const before = this.known;
    this.known = new Map(logs.map((log) => [`${log.luid} ${log.uuid}`, { log, text: toJson(log) }]));
    const changes: LogChange[] = [];
    for (const [name, { log }] of before) {
      if (!this.known.has(name)) changes.push({ kind: "removed", log, before: log });
    }
    for (const [name, { log, text }] of this.known) {
      const was = before.get(name);
      if (was === undefined) changes.push({ kind: "created", log, before: null });
      else if (was.text !== text) changes.push({ kind: "changed", log, before: was.log });
    }
    return changes;
  }
}
