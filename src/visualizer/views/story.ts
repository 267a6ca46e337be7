// Three sentences about what the page shows: what a dirty log is for, the states of the regions, what has just happened.

import type { LogMemory } from "../../common/trace/log-memory.ts";
import { CLEAN, DEVICE, DIRTY, FAILED, OUT, STATE_WORDS, type State, type StateCounts } from "../model/region-cells.ts";
import type { Timeline } from "../model/timeline.ts";
import type { WorldNote } from "../sources/source.ts";
import { stateMark } from "./detail-view.ts";
import { byId, element, grouped, plural } from "./dom.ts";

export class Story {
  private readonly section = byId("story");
  private shown = "";

  /** Describes the position; `counts` are those of `log`. */
  draw(timeline: Timeline, log: LogMemory | null, counts: StateCounts): void {
    const key = `${timeline.position} ${log?.key} ${counts}`;
    if (key === this.shown) return;
    this.shown = key;
    this.section.replaceChildren(
      element("p", {}, ...purpose(log)),
      element("p", {}, ...standing(log, counts), ...written(timeline)),
      element("p", {}, ...latest(timeline, log)),
    );
  }
}

function purpose(log: LogMemory | null): (Node | string)[] {
  const regions = log === null ? "regions" : plural(log.regionCount, "region");
  return [
    `A mirror keeps the same data on two disks. Its dirty log knows which of its ${regions} may differ between them, ` +
      "so that after a crash only those are copied.",
  ];
}

function standing(log: LogMemory | null, counts: StateCounts): (Node | string)[] {
  if (log === null) return ["There is no log at this event."];
  const parts: (Node | string)[] = [];
  const say = (state: State, count: number, more: string) => {
    if (count === 0) return;
    if (parts.length > 0) parts.push(", ");
    parts.push(stateMark(state, `${grouped(count)} ${STATE_WORDS[state]}`), more);
  };
  say("failed", counts[FAILED], "");
  say("out", counts[OUT], "");
  say("dirty", counts[DIRTY], ", being written");
  say("device", counts[DEVICE], "");
  say("clean", counts[CLEAN], "");
  if (log.recovering === null) return ["Now: ", ...parts, "."];
  const recovering = stateMark("recovering", `region ${grouped(log.recovering)} is ${STATE_WORDS.recovering}`);
  return ["Now: ", ...parts, "; ", recovering, "."];
}

function written({ source, position }: Timeline): string[] {
  const count = source.writesInSecond?.(position);
  return count === undefined ? [] : [` Programs completed ${plural(count, "write")} in the last second.`];
}

/** The last thing that happened to the machine, and its consequence. */
function latest(timeline: Timeline, log: LogMemory | null): string[] {
  const { source, position } = timeline;
  const notes = source.notes.filter(({ event }) => event <= position);
  const note = notes.at(-1);
  if (note === undefined || log === null) {
    if (log === null) return ["Press play, or step from event to event with the arrow keys."];
    return log.outOfSync > 0
      ? ["The kernel asks for one region after another, copies it from the first disk to the others, and reports it."]
      : ["Programs write. Each region is marked before its first write, and cleared some time after its last one."];
  }
  const toCopy = resyncSince(timeline, note);
  if (toCopy === 0) return [`${note.words}.`];
  const trouble = notes.findLast(({ isTrouble }) => isTrouble);
  const cause = trouble === undefined ? "When this engine started," : `${trouble.words};`;
  const done = toCopy - Math.min(toCopy, log.outOfSync);
  const isDone = done === toCopy ? "all of them are done" : `${grouped(done)} are done`;
  const share = percent(toCopy / log.regionCount);
  return [
    `${cause} the log had ${plural(toCopy, "region")} (${share}) that were not clean. Only these are copied; ${isDone}.`,
  ];
}

/** Regions that were out of sync when the kernel first asked for resync work after a note. */
function resyncSince({ index, position, abi }: Timeline, note: WorldNote): number {
  for (let event = note.event; event < position; event++) {
    if (index.code.at(event) === abi.REQUEST_GET_RESYNC_WORK) return index.outOfSync.at(event);
  }
  return 0;
}

function percent(share: number): string {
  return `${share < 0.1 ? (100 * share).toPrecision(2) : Math.round(100 * share)} %`;
}
