// The default scene of the page: after a power cut during writes, the mirror is copying the regions that were not clean in its
// log, and half of them are done.

import { MILLISECOND_NS } from "../../common/sim/clock.ts";
import type { Core } from "../core.ts";
import { Timeline } from "../model/timeline.ts";
import { DEFAULTS } from "./settings.ts";
import { Simulation } from "./simulation.ts";

/** How long programs write before the power fails. */
const WRITING_NS = 350 * MILLISECOND_NS;
/** The power is cut when this many regions differ between the disks. */
const DIFFERING_WANTED = 6;
const EVENTS_MAX = 60_000;
/** Events that follow the position, so that there is a future to look at. */
const AFTERMATH_EVENTS = 1500;

/** A simulation that has lived so far, and the position to show. */
export function openingScene(core: Core): { source: Simulation; position: number } {
  const source = new Simulation(DEFAULTS, [], core);
  const { life } = source;
  while (life.nowNs < WRITING_NS && life.step());
  while (life.differingCount < DIFFERING_WANTED && life.step());
  source.do("power-cut");
  const cutAt = life.tape.eventCount;
  const timeline = new Timeline(core.module, source);
  let most = 0;
  for (let seen = cutAt; seen < cutAt + EVENTS_MAX; seen++) {
    source.extend(seen + 1, Infinity);
    source.update();
    timeline.pass(Infinity);
    if (timeline.index.code.at(seen) !== timeline.abi.REQUEST_GET_RESYNC_WORK) continue;
    // The kernel has just been told which region to copy next.
    const out = timeline.index.outOfSync.at(seen);
    most = Math.max(most, out);
    if (out > most / 2) continue;
    source.extend(seen + AFTERMATH_EVENTS, Infinity);
    return { source, position: seen + 1 };
  }
  return { source, position: timeline.length };
}
