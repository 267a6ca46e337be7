// What a log makes of its device when it is resumed, and when a server that was killed left it running: its sets of regions.

import { judgeHeader, regionsInHeader } from "./device-model.ts";
import type { DiskModel } from "./disk-model.ts";
import type { LogModel } from "./log-model.ts";
import { demandSaved } from "./saved.ts";
import type { StateFile } from "./state-file.ts";
import { demand } from "./violation.ts";

/** All that the core wanted to read was read, or a part could not be. */
export function adopt(log: LogModel, disk: DiskModel, couldBeRead: boolean): void {
  disk.isLoading = false;
  disk.isStoring = true;
  disk.hasBeenLoaded = true;
  disk.wasLoaded = true;
  disk.mustCompare = log.wasResumed ? "R43" : "R42";
  if (!couldBeRead) fail(log, disk);
  const header = couldBeRead ? disk.device.header() : null;
  if (couldBeRead)
    demand("R42", header !== null, `the load of ${log.name}`, "all of the log to be read", "a part of it");
  const says = header === null ? "unreadable" : judgeHeader(header, log.mirror.uuid, log.table.regionCount);
  if (says === "unknown version") {
    disk.isUnknownVersion = true;
    disk.isStoring = false;
    fail(log, disk);
  }
  if (!log.wasResumed || says === "unknown version") takeFromDevice(log, disk, says, header);
  else if (log.doubt === "ends") disk.mayDropMarks = true;
  disk.lookAtAll();
}

/** The device could not be opened for a RESUME. */
export function adoptUnread(log: LogModel): void {
  const { disk } = log;
  if (disk === null) return;
  fail(log, disk);
  if (!log.wasResumed) takeFromDevice(log, disk, "unreadable", null);
  disk.lookAtAll();
}

/** An operation has failed: the status shows it, and what the device calls clean may be of the past. */
export function fail({ mirror }: LogModel, disk: DiskModel): void {
  if (disk.hasFailed) return;
  disk.hasFailed = true;
  mirror.isDeviceBehind = true;
}

function takeFromDevice(
  log: LogModel,
  disk: DiskModel,
  says: ReturnType<typeof judgeHeader> | "unreadable",
  header: Uint8Array | null,
): void {
  const { table, mirror, wasResumed } = log;
  const isLost = !wasResumed && log.isLost;
  const startsAnew = !wasResumed && (table.isSync || table.isNosync);
  const isBelieved = (says === "same" || says === "other count") && !mirror.isDeviceBehind;
  const isNew = says === "none" || says === "another mirror";
  const growsClean = !wasResumed && table.isNosync && !isLost && (isBelieved || isNew);
  const inHeader = header !== null && isBelieved && !startsAnew ? regionsInHeader(header) : 0n;
  log.outOfSync.clear();
  log.marked.clear();
  for (let region = 0; region < table.regionCount; region++) {
    const isInSync = BigInt(region) < inHeader ? disk.device.surelyCallsClean(region) : growsClean;
    if (!isInSync) log.outOfSync.add(region);
    if (isLost) log.marked.add(region);
  }
  log.doubt = isLost ? "marks" : "none";
  log.failed.clear();
  log.isRoundKnown = true;
  log.restartResync();
  // What the device calls clean was settled before, and `nosync` is the administrator's word that the legs are the same.
  disk.unsettled.clear();
  disk.settling.clear();
}

/** The state file has marks written: those of a lost log may end. */
export function mayDropMarks(log: LogModel, file: StateFile): void {
  const { disk } = log;
  if (disk === null || !disk.mayDropMarks || !file.hasNoMarks()) return;
  disk.mayDropMarks = false;
  log.doubt = "none";
  const marks = [...log.marked];
  log.marked.clear();
  // Nobody knows whether the legs were flushed since the writes that these marks may have been of.
  for (const region of marks) if (log.isClean(region)) disk.becameClean(region);
}

/** An event that loaded the log, or stored what the load has made of it, is over. */
export function endLoad(log: LogModel): void {
  const { disk } = log;
  if (disk === null || log.isLetGo) return;
  if (disk.mustCompare !== null) {
    const rule = disk.mustCompare;
    disk.mustCompare = null;
    disk.mayDropMarks = false;
    demandSaved(log, log.regions, rule, `the load of ${log.name}`);
  }
  endStoring(log, disk);
}

/** The device has all that a log knows which goes on after a server's death. A RESUME that comes meanwhile waits for it. */
export function endStoring(log: LogModel, disk: DiskModel): void {
  if (!disk.isStoring || disk.isUnderWay("write")) return;
  disk.isStoring = false;
  const wasRunning = log.takesWork && !log.isEnding;
  if (wasRunning && !disk.hasFailed) log.mirror.isDeviceBehind = false;
}
