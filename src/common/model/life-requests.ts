// RESUME, POSTSUSPEND and DTR: of a log on a device they wait for it.

import type { Conversation } from "./conversation.ts";
import type { Debt, DiskModel } from "./disk-model.ts";
import { demandDone, demandNoData, demandZeros, done, type Expectation, errorOf } from "./expectation.ts";
import type { LogModel } from "./log-model.ts";
import { demandAllSaved } from "./saved.ts";
import { demand, type Subject } from "./violation.ts";
import { EIO, type Request } from "./wire.ts";

export function resume(conversation: Conversation, request: Request, log: LogModel): Expectation {
  const { disk } = log;
  if (disk !== null && !disk.isResuming) {
    disk.isResuming = true;
    disk.wasLoaded = false;
  }
  return {
    log,
    mayWait: disk !== null,
    isWithoutEffect: log.life === "resumed",
    judge: (answer) => {
      if (disk !== null) disk.isResuming = conversation.isAsked(log, "RESUME");
      if (answer.error !== 0) {
        const isGone = disk !== null && (log.isLetGo || log.isEnding || !disk.isConstructed);
        demand("R17", isGone, request, "error 0", errorOf(answer));
        demandZeros(request, answer);
        return;
      }
      demandNoData(request, answer);
      if (log.life !== "resumed") {
        const mayStay = disk !== null && log.hasRival;
        demand("R17", mayStay, request, "a log that is resumed", log.life);
        return;
      }
      if (disk?.wasLoaded && !disk.hasFailed) demandLoaded(disk, log, request);
      demandAllSaved(log, "R46", request);
    },
  };
}

/** The device holds the log that was resumed. */
function demandLoaded(disk: DiskModel, log: LogModel, subject: Subject): void {
  const { device, exposed } = disk;
  const isNamed = device.isHeaderOf(log.mirror.uuid);
  demand("R38", isNamed, subject, "a device with the log's header", "another header, or none");
  demand("R38", !device.hasStrayBits(), subject, "no bit behind the last region on the device", "one that is set");
  const [region] = exposed;
  demand("R38", region === undefined, subject, `a device that does not call region ${region} clean`, "one that may");
}

export function suspend(conversation: Conversation, request: Request, log: LogModel): Expectation {
  const { disk } = log;
  const becomesSuspended = () => {
    demand("R18", !log.takesWork, request, "a log that is suspended", log.life);
  };
  if (disk === null || !log.takesWork) return done(request, log, !log.takesWork, becomesSuspended);
  // One that comes while another waits is the same suspend, asked for again.
  const debt = conversation.isAsked(log, "POSTSUSPEND") ? new Set<number>() : disk.oweDrain();
  return {
    log,
    mayWait: true,
    isWithoutEffect: false,
    judge: (answer) => {
      disk.drainDebts.delete(debt);
      const isOver = log.isLetGo || log.isEnding;
      if (answer.error !== 0) {
        demand(
          "R39",
          answer.error === EIO && disk.hasFailed,
          request,
          "error 0, or -5 of a device that failed",
          errorOf(answer),
        );
        demandZeros(request, answer);
      } else {
        demandNoData(request, answer);
        if (isOver || log.wasDisplaced) return;
        demand("R39", !disk.hasFailed, request, "error -5: the device has failed", errorOf(answer));
        demandDrained(disk, debt, request);
      }
      if (!isOver) becomesSuspended();
    },
  };
}

function demandDrained({ legsFailed }: DiskModel, debt: Debt, subject: Subject): void {
  const [region] = debt;
  const expected = `no answer before the device calls region ${region} clean, which is`;
  demand("R39", region === undefined || legsFailed, subject, expected, "error 0");
}

export function destructor(conversation: Conversation, request: Request, log: LogModel): Expectation {
  const { disk } = log;
  const isGone = () => {
    demand("R19", log.stateFile === null, request, "a log without a state file", "one that is there");
    conversation.letGo(log);
  };
  if (disk === null) {
    log.isEnding = true;
    return done(request, log, false, isGone);
  }
  // Of a log that was never loaded, or is just being, nothing is known that the device does not hold.
  const owesDrain = !log.isEnding && log.takesWork && disk.isReady;
  const debt = owesDrain ? disk.oweDrain() : new Set<number>();
  log.isEnding = true;
  return {
    log,
    mayWait: true,
    isWithoutEffect: false,
    judge: (answer) => {
      disk.drainDebts.delete(debt);
      demandDone(request, answer);
      demandNoData(request, answer);
      demand("R19", !disk.isOpen, request, "a device that is closed", "one that is open");
      if (!disk.hasFailed && !log.isLetGo && !log.wasDisplaced) demandDrained(disk, debt, request);
      isGone();
    },
  };
}
