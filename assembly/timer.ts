// Time: one deadline for each disk with lazy work, and the earliest of them as the host's wake-up.

import { core } from "./core";
import { Disk } from "./disk";
import { emitWake } from "./effects";
import { INPUT_NOW } from "./layout";
import { Log, nextLog } from "./log";

export function now(): u64 {
  return load<u64>(INPUT_NOW);
}

/** Sets a deadline where there is none, or brings it forward when too much is lazy. */
export function armTimer(disk: Disk): void {
  const isFull = disk.freshSet().population >= core.lazyRegionsMax && disk.legsFlushing == 0 && disk.legsNoticed == 0;
  if (disk.deadline != 0 && !isFull) return;
  const wanted = isFull ? now() : now() + core.quietNs;
  if (disk.deadline == 0 || wanted < disk.deadline) disk.deadline = wanted;
  if (core.wakeAt == 0 || disk.deadline < core.wakeAt) wakeAt(disk.deadline);
}

/** The earliest deadline of all disks becomes the host's wake-up. */
export function renewWake(): void {
  let earliest: u64 = 0;
  for (let at = nextLog(0); at != 0; at = nextLog(at)) {
    const log = changetype<Log>(at);
    if (log.disk == 0) continue;
    const deadline = log.diskRecord().deadline;
    if (deadline != 0 && (earliest == 0 || deadline < earliest)) earliest = deadline;
  }
  if (earliest != core.wakeAt) wakeAt(earliest);
}

function wakeAt(time: u64): void {
  core.wakeAt = time;
  emitWake(time);
}
