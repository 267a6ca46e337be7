// CTR: which constructors make a new log, which find one, and what each is answered with.

import type { Conversation } from "./conversation.ts";
import { bytesNeeded } from "./device-model.ts";
import { type DeviceFacts, DiskModel } from "./disk-model.ts";
import { demandNoData, demandZeros, type Expectation, errorOf, refused } from "./expectation.ts";
import { LogModel } from "./log-model.ts";
import { demandAllSaved } from "./saved.ts";
import { readTable, type Table } from "./table.ts";
import { demand } from "./violation.ts";
import { type Answer, EBUSY, EINVAL, EIO, ENOMEM, latin1, type Request } from "./wire.ts";

/** Longest string that the messages of today's kernels have room for, in bytes: a longer one may be refused. */
const TEXT_BYTES_MAX = 332;
/** For so many regions there may be no memory. */
const MANY_REGIONS = 2 ** 20;
/** Protocol version from which the answer may name the device. */
const VERSION_WITH_DEVICE = 2;
const SECTOR_BYTES = 512n;

export function constructed(conversation: Conversation, request: Request): Expectation {
  const { logs } = conversation;
  const reconnects = request.data.at(-1) === 0;
  const text = latin1(reconnects ? request.data.subarray(0, -1) : request.data);
  const existing = request.hasUuid ? logs.find(request.luid, request.uuid) : null;
  const isFound =
    existing !== null &&
    !existing.isEnding &&
    existing.table.text === text &&
    (reconnects || existing.life === "created");
  if (isFound) return constructorAgain(request, existing, reconnects);

  const table = readTable(text);
  const errors: number[] = [];
  if (table === null || !request.hasUuid || text.length > TEXT_BYTES_MAX) errors.push(EINVAL);
  if (conversation.isFull || (table !== null && table.regionCount >= MANY_REGIONS)) errors.push(ENOMEM);
  const answer = conversation.answerAtOnce(request);
  if (table === null || !request.hasUuid) return refused(request, "R13", errors);
  if (answer !== null && answer.error < 0) {
    return errors.length > 0 ? refused(request, "R13", errors) : refused(request, "R11", [0]);
  }
  if (existing !== null) conversation.letGo(existing);
  return firstConstructor(request, newLog(conversation, request, table, reconnects));
}

/** The constructor of a log that nobody was told of yet. */
export function firstConstructor(request: Request, log: LogModel): Expectation {
  const reconnects = request.data.at(-1) === 0;
  return {
    log,
    mayWait: log.disk !== null,
    isWithoutEffect: false,
    judge: (answer) => judgeFirst(request, log, reconnects, answer),
  };
}

function newLog(conversation: Conversation, request: Request, table: Table, reconnects: boolean): LogModel {
  const { logs } = conversation;
  const log = new LogModel(request.luid, logs.mirrorOf(request.uuid), table, conversation.regionsMax);
  log.isLost = reconnects;
  // `nosync` speaks of a new mirror; one whose kernel reconnects has been written to.
  log.setAll(!table.isNosync || reconnects);
  if (table.device !== null) log.disk = new DiskModel(log);
  logs.add(log);
  conversation.newborn = log;
  return log;
}

function judgeFirst(request: Request, log: LogModel, reconnects: boolean, answer: Answer): void {
  const { disk } = log;
  const isOver = log.isEnding || log.isLetGo;
  const openError = disk?.openError ?? 0;
  if (disk !== null && !isOver) {
    const expected = openError === 0 ? "error 0: the device is open" : `error ${openError}: the device cannot be used`;
    demand("R15", answer.error === openError, request, expected, errorOf(answer));
  }
  if (answer.error !== 0) {
    const mayFail = openError !== 0 || (isOver && answer.error === EIO);
    demand("R11", mayFail, request, "error 0", errorOf(answer));
    demandZeros(request, answer);
    return;
  }
  if (disk !== null) {
    demand("R15", disk.isOpen, request, "no answer before the device is open", "error 0");
    disk.isConstructed = true;
  }
  demandName(request, log, reconnects, answer);
  demandAllSaved(log, "R46", request);
}

function constructorAgain(request: Request, log: LogModel, reconnects: boolean): Expectation {
  const { disk } = log;
  return {
    log,
    mayWait: disk !== null,
    isWithoutEffect: false,
    judge: (answer) => {
      if (disk !== null && !disk.isConstructed) {
        judgeFirst(request, log, reconnects, answer);
        return;
      }
      if (answer.error !== 0) {
        const isOver = log.isEnding || log.isLetGo;
        const mayFail = disk !== null && (answer.error === disk.openError || (isOver && answer.error === EIO));
        demand("R16", mayFail, request, "error 0: the log is there", errorOf(answer));
        demandZeros(request, answer);
        return;
      }
      demandName(request, log, reconnects, answer);
      demandAllSaved(log, "R16", request);
    },
  };
}

/** The device's name, where the kernel has room for it and the device is one that it can hold. */
function demandName(request: Request, { disk }: LogModel, reconnects: boolean, answer: Answer): void {
  const { major, minor } = disk?.facts ?? { major: 0, minor: 0 };
  if (reconnects || request.version < VERSION_WITH_DEVICE || (major === 0 && minor === 0)) {
    demand("R14", answer.data.length === 0, request, "no data", `"${latin1(answer.data)}"`);
    demandNoData(request, answer);
    return;
  }
  const name = `${major}:${minor}\0`;
  demand("R14", latin1(answer.data) === name, request, `"${name}"`, `"${latin1(answer.data)}"`);
}

/** Why a device that was opened cannot be the log's: a negative errno, or 0. */
export function refusalOf(conversation: Conversation, log: LogModel, facts: DeviceFacts): number {
  const sizeBytes = (facts.sizeBytes / SECTOR_BYTES) * SECTOR_BYTES;
  if (sizeBytes < BigInt(bytesNeeded(log.table.regionCount))) return EINVAL;
  for (const other of conversation.logs.all) {
    const isOthers = other.mirror !== log.mirror && other.disk?.isOpen === true;
    if (isOthers && facts.identity !== null && other.disk?.facts?.identity === facts.identity) return EBUSY;
  }
  return 0;
}
