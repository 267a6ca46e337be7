// Whether a log's state file says what the log is.

import type { LogModel } from "./log-model.ts";
import type { RuleNumber } from "./rules.ts";
import { demand, RuleViolation, type Subject } from "./violation.ts";

/** The state file says these regions as the log knows them. A log that is about to go has none. */
export function demandSaved(log: LogModel, regions: Iterable<number>, rule: RuleNumber, subject: Subject): void {
  const { stateFile, outOfSync, marked } = log;
  if (log.isLetGo || log.isEnding) return;
  demand(rule, stateFile !== null, subject, "a state file", "none");
  for (const region of regions) {
    const problem = stateFile?.problemOf(region, outOfSync.has(region), marked.has(region)) ?? null;
    if (problem === null) continue;
    const is = `${outOfSync.has(region) ? "out of" : "in"} sync and ${marked.has(region) ? "" : "not "}marked`;
    throw new RuleViolation(rule, subject, `a state file that has region ${region} ${is}`, problem);
  }
}

/** It says all of the log. */
export function demandAllSaved(log: LogModel, rule: RuleNumber, subject: Subject): void {
  if (log.isLetGo || log.isEnding) return;
  const header = log.stateFile?.header() ?? null;
  demand(rule, header !== null, subject, "a state file with a whole header in both copies", "none");
  if (header === null) return;
  const says = (what: string, expected: unknown, came: unknown) => {
    demand(rule, expected === came, subject, `a state file that says ${what} ${expected}`, `${came}`);
  };
  says("luid", log.luid, header.luid);
  says("UUID", log.mirror.uuid, header.uuid);
  says("table", log.table.text, header.text);
  says("life", log.life, header.life);
  says("was resumed", log.wasResumed, header.wasResumed);
  says("lost", log.isLost, header.reconnects);
  // Before the first RESUME is answered, a server that comes back loads the device anew; before any other, it ends the doubt anew.
  if (log.wasResumed && log.disk?.isResuming !== true) says("marks in doubt", log.doubt, header.doubt);
  if (log.disk !== null) says("device behind", log.mirror.isDeviceBehind, header.isDeviceBehind);
  demandSaved(log, log.regions, rule, subject);
}
