// The invariants of the whole, checked after every input in debug builds and on demand in all builds.

import { arenaIsSound } from "./arena";
import { core } from "./core";
import { deadlinesAreSound } from "./deadlines";
import { Disk } from "./disk";
import { diskOf } from "./disk-flow";
import { GOAL_NONE, PHASE_READY, PHASE_STORING } from "./disk-life";
import { logOfHandle } from "./handles";
import { EFFECTS_BYTES_MAX, LUIDS_MAX } from "./limits";
import { Log, STATE_MAKING } from "./log";
import { nextLog } from "./logs";
import { mirrorOf } from "./mirror";
import { NO_REGION, RegionSet, wordsOf } from "./region-set";

export const INVARIANT_ARENA: u32 = 1;
export const INVARIANT_LOG_LIST: u32 = 2;
export const INVARIANT_REGION_SET: u32 = 3;
export const INVARIANT_PENDING_AND_FAILED: u32 = 4;
export const INVARIANT_DIRTY_COUNT: u32 = 5;
export const INVARIANT_RECOVERING: u32 = 6;
export const INVARIANT_EFFECTS: u32 = 7;
export const INVARIANT_HANDLE: u32 = 8;
export const INVARIANT_BLOCK_SET: u32 = 9;
export const INVARIANT_UNSETTLED: u32 = 10;
/** A region that is not clean is clean on the device, and nothing is about to change that. */
export const INVARIANT_DEVICE: u32 = 11;
/** A log is not listed by its mirror, takes work without having the mirror's device, or a mirror has too many of them. */
export const INVARIANT_MIRROR: u32 = 12;
export const INVARIANT_DEADLINES: u32 = 13;
/** A region is clean in memory, not on the device, and nothing is about to change that. */
export const INVARIANT_LAZY: u32 = 14;

/** The number of the first invariant that does not hold, or 0. Costs a pass over every bitmap. */
export function violatedInvariant(): u32 {
  if (<usize>core.effectsBytes > EFFECTS_BYTES_MAX) return INVARIANT_EFFECTS;
  if (!arenaIsSound()) return INVARIANT_ARENA;
  if (!deadlinesAreSound()) return INVARIANT_DEADLINES;
  let logs: u32 = 0;
  let before: usize = 0;
  for (let at = nextLog(0); at != 0; at = nextLog(at)) {
    const log = changetype<Log>(at);
    if (log.previous != before || ++logs > core.logCount) return INVARIANT_LOG_LIST;
    const violated = violatedInvariantOfLog(log);
    if (violated != 0) return violated;
    before = at;
  }
  return logs == core.logCount && core.lastLog == before ? 0 : INVARIANT_LOG_LIST;
}

function violatedInvariantOfLog(log: Log): u32 {
  if (logOfHandle(log.handle) != changetype<usize>(log)) return INVARIANT_HANDLE;
  if (!isListed(log)) return INVARIANT_MIRROR;
  // Its sets are bits of which only a part is there, and nobody reads them before the last.
  if (log.state == STATE_MAKING) return 0;
  const pending = log.pendingSet();
  const failed = log.failedSet();
  if (!isWhole(log, pending) || !isWhole(log, failed) || !isWhole(log, log.markedSet())) return INVARIANT_REGION_SET;
  if (log.recovering != NO_REGION && (log.recovering >= log.regionCount || !pending.has(log.recovering))) {
    return INVARIANT_RECOVERING;
  }
  let dirty: u64 = 0;
  const bytes = (<usize>wordsOf(log.regionCount)) << 3;
  for (let offset: usize = 0; offset < bytes; offset += 8) {
    const mine = load<u64>(pending.bits + offset);
    const theirs = load<u64>(failed.bits + offset);
    if (mine & theirs) return INVARIANT_PENDING_AND_FAILED;
    dirty += popcnt(load<u64>(log.markedSet().bits + offset) & ~(mine | theirs));
  }
  if (dirty != log.dirtyCount) return INVARIANT_DIRTY_COUNT;
  return log.disk == 0 ? 0 : violatedInvariantOfDisk(diskOf(log));
}

function violatedInvariantOfDisk(disk: Disk): u32 {
  const log = disk.owner();
  const mirror = mirrorOf(log);
  if (mirror.diskLogs > LUIDS_MAX) return INVARIANT_MIRROR;
  if (log.takesWork() && log.isRetired == 0 && mirror.user != changetype<usize>(log)) return INVARIANT_MIRROR;
  if (disk.phase == PHASE_STORING && disk.goal == GOAL_NONE) return INVARIANT_DEVICE;
  if (!disk.urgentSet().isSound() || !disk.lazySet().isSound() || !disk.inFlightSet().isSound()) {
    return INVARIANT_BLOCK_SET;
  }
  if (!disk.unsureSet().isSound() || (disk.inFlightSet().population != 0) != (disk.writesInFlight != 0)) {
    return INVARIANT_BLOCK_SET;
  }
  if (!isWhole(log, disk.freshSet()) || !isWhole(log, disk.settlingSet())) return INVARIANT_REGION_SET;
  if (disk.phase != PHASE_READY || disk.isAbandoned != 0) return 0;
  const words = wordsOf(log.regionCount);
  for (let word: u32 = 0; word < words; word++) {
    const offset = (<usize>word) << 3;
    const clean = disk.cleanWord(word);
    const fresh = load<u64>(disk.freshSet().bits + offset);
    const settling = load<u64>(disk.settlingSet().bits + offset);
    if (fresh & settling || (fresh | settling) & ~clean) return INVARIANT_UNSETTLED;
    const saysClean = disk.imageWord(word);
    if (saysClean & ~clean && !disk.urgentSet().has(disk.blockOf(word << 6))) return INVARIANT_DEVICE;
    if (clean & ~saysClean && !disk.lazySet().has(disk.blockOf(word << 6))) return INVARIANT_LAZY;
  }
  return 0;
}

function isWhole(log: Log, set: RegionSet): bool {
  return set.size == log.regionCount && set.isSound();
}

function isListed(log: Log): bool {
  let at = mirrorOf(log).firstLog;
  while (at != 0 && at != changetype<usize>(log)) at = changetype<Log>(at).sibling;
  return at != 0;
}
