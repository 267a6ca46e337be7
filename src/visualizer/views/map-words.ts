// Words for what is under the pointer.

import type { LogMemory } from "../../common/trace/log-memory.ts";
import { countStates, STATE_WORDS, STATES, stateOf } from "../model/region-cells.ts";
import { grouped, plural } from "./dom.ts";

/** The whole log, if the pointer is not on the map. */
export function logWords(log: LogMemory, perCell: number): string {
  const each = perCell === 1 ? "each cell is one region" : `each cell is ${grouped(perCell)} regions`;
  return `${plural(log.regionCount, "region")}; ${each}.`;
}

/** The cell that a region is in. */
export function cellWords(memory: ArrayBuffer, log: LogMemory, region: number, perCell: number): string {
  if (perCell === 1) {
    const state = STATE_WORDS[STATES[stateOf(memory, log, region)] ?? "clean"];
    const recovering = region === log.recovering ? `, ${STATE_WORDS.recovering}` : "";
    return `Region ${grouped(region)}: ${state}${recovering}.`;
  }
  const first = region - (region % perCell);
  const length = Math.min(perCell, log.regionCount - first);
  const parts = countStates(memory, log, first, length).flatMap((count, state) =>
    count === 0 ? [] : [`${grouped(count)} ${STATE_WORDS[STATES[state] ?? "clean"]}`],
  );
  return `Regions ${grouped(first)} to ${grouped(first + length - 1)}: ${parts.reverse().join(", ")}.`;
}
