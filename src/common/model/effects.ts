// What the core asks for on devices, legs and state files, held against the rules.

import type { TraceEffect } from "../trace/event.ts";
import type { Conversation } from "./conversation.ts";
import { firstCalledClean, hasMagic } from "./device-model.ts";
import type { DiskModel, Operation, OperationKind } from "./disk-model.ts";
import { adoptUnread, endStoring, mayDropMarks } from "./load.ts";
import type { LogModel } from "./log-model.ts";
import { type Life, StateFile } from "./state-file.ts";
import { demand, RuleViolation, type Subject } from "./violation.ts";
import { latin1, viewOf } from "./wire.ts";

const PAGE_BYTES = 4096;
const READ_STEP_BYTES = 1024;
/** A mirror has two luids, of its active and its inactive table; more are left of destructors that nobody heard. */
const LUIDS_KEPT = 3;

interface Head {
  readonly handle: number;
  readonly sizeBytes: number;
  readonly offsetBytes: number;
  readonly ticket: bigint;
}

/** A log on a device. */
interface OnDisk {
  readonly log: LogModel;
  readonly disk: DiskModel;
}

/** Takes an effect that is no answer. */
export function takeEffect(conversation: Conversation, { kind, payload, written }: TraceEffect): void {
  const { abi } = conversation;
  if (kind === abi.EFFECT_KIND_NOTICE) return;
  const view = viewOf(payload);
  if (kind === abi.EFFECT_KIND_WAKE) {
    conversation.wakeAtNs = view.getBigUint64(0, true);
    return;
  }
  const head: Head = {
    handle: view.getUint32(abi.HEAD_HANDLE, true),
    sizeBytes: view.getUint32(abi.HEAD_SIZE, true),
    offsetBytes: Number(view.getBigUint64(abi.HEAD_OFFSET, true)),
    ticket: view.getBigUint64(abi.HEAD_TICKET, true),
  };
  const bytes = written ?? new Uint8Array(0);
  if (kind === abi.EFFECT_KIND_STATE_DELETE) takeStateDelete(conversation, head);
  else if (kind === abi.EFFECT_KIND_STATE_CREATE) takeStateCreate(conversation, head);
  else if (kind === abi.EFFECT_KIND_STATE_WRITE) takeStateWrite(conversation, head, bytes);
  else {
    const name = kind === abi.EFFECT_KIND_OPEN ? latin1(payload.subarray(abi.HEAD_BYTES)) : null;
    const onDisk = onDiskOf(conversation, head, name);
    if (name !== null) takeOpen(onDisk, head, name);
    else if (kind === abi.EFFECT_KIND_READ) takeRead(onDisk, head);
    else if (kind === abi.EFFECT_KIND_WRITE) takeWrite(onDisk, head, bytes);
    else if (kind === abi.EFFECT_KIND_CLOSE) takeClose(onDisk);
    else if (kind === abi.EFFECT_KIND_FLUSH_LEGS) takeFlushLegs(onDisk, head, payload.subarray(abi.HEAD_BYTES));
  }
}

/** The log of a handle, which may be the first that is heard of it: then it is one that `fits`. */
function logOf(conversation: Conversation, { handle }: Head, fits: (log: LogModel) => boolean): LogModel | null {
  const known = conversation.logs.ofHandle(handle);
  const unborn = known === null ? conversation.firstUnborn(fits) : null;
  if (unborn !== null) conversation.born(unborn, handle);
  const log = known ?? unborn;
  if (log !== null) conversation.touch(log);
  return log;
}

const none = (): boolean => false;

function onDiskOf(conversation: Conversation, head: Head, device: string | null): OnDisk {
  const log = logOf(conversation, head, ({ table }) => device !== null && table.device === device);
  if (log === null || log.disk === null) {
    throw new RuleViolation("R44", "an effect on a device", "the handle of a log on a device", `handle ${head.handle}`);
  }
  return { log, disk: log.disk };
}

function begin(disk: DiskModel, kind: OperationKind, head: Head, bytes: Uint8Array = new Uint8Array(0)): Operation {
  const { offsetBytes, sizeBytes, ticket } = head;
  const operation = { kind, offsetBytes, sizeBytes, ticket, bytes };
  disk.underWay.add(operation);
  return operation;
}

// ---- devices and legs

function takeOpen({ log, disk }: OnDisk, head: Head, name: string): void {
  const { device } = log.table;
  demand("R44", name === device, `OPEN of ${log.name}`, `"${device}"`, `"${name}"`);
  const isClosed = !disk.isOpen && disk.underWay.size === 0;
  demand("R44", isClosed && !log.isLetGo, `OPEN of ${log.name}`, "a device that is closed and wanted", "another");
  disk.openError = 0;
  begin(disk, "open", head);
}

function takeRead({ log, disk }: OnDisk, head: Head): void {
  const subject = `READ of ${log.name}`;
  demand("R44", disk.isOpen, subject, "a device that is open", "one that is closed");
  demandWithin(subject, disk, head, READ_STEP_BYTES);
  if (!disk.isLoading) {
    disk.isLoading = true;
    disk.hasFailed = false;
    disk.isFailing = false;
    disk.device.forget();
    disk.lookAtAll();
  }
  begin(disk, "read", head);
}

function takeWrite({ log, disk }: OnDisk, head: Head, bytes: Uint8Array): void {
  const subject = `WRITE to the log device of ${log.name}`;
  demand("R44", disk.isOpen, subject, "a device that is open", "one that is closed");
  demandWithin(subject, disk, head, PAGE_BYTES);
  demandOwner(log, disk, subject);
  const operation = begin(disk, "write", head, bytes);
  for (const dirty of [log.outOfSync, log.marked]) {
    const region = firstCalledClean(operation, dirty);
    if (region === null) continue;
    throw new RuleViolation("R34", subject, `region ${region}, which is not clean, not to be called so`, "a set bit");
  }
  for (const waiting of [disk.unsettled, disk.settling]) {
    const region = firstCalledClean(operation, waiting, disk.device);
    if (region === null) continue;
    throw new RuleViolation("R35", subject, `region ${region} to wait for a flush of the legs`, "a set bit");
  }
  if (head.offsetBytes === 0 && hasMagic(bytes)) demandHeaderMayCome(disk, bytes, subject);
  disk.lookAt(disk.device.writeBegins(operation));
}

function demandOwner(log: LogModel, disk: DiskModel, subject: Subject): void {
  const isBeingResumed = disk.isResuming && disk.wasLoaded;
  // A luid that is resumed in its place waits for that end.
  const isEndingWork = disk.drainDebts.size > 0;
  const isOwner = !log.isLetGo && (log.takesWork || isBeingResumed || isEndingWork);
  demand(
    "R36",
    isOwner,
    subject,
    "a luid that takes work, is being resumed or ends its work",
    `one that is ${log.life}`,
  );
  for (const other of log.mirror.logs) {
    const isWriting = other !== log && other.disk?.isUnderWay("write") === true;
    demand("R36", !isWriting, subject, "no other luid that writes", "one that does");
  }
}

/** A header that the device does not hold may be torn from the bits that it vouches for. */
function demandHeaderMayCome({ device, exposed }: DiskModel, bytes: Uint8Array, subject: Subject): void {
  if (device.mayBeginAs(bytes)) return;
  demand("R37", !device.isInDoubt, subject, "a new header when nothing else is under way", "one before that");
  const [region] = exposed;
  const expected = `a new header when the device does not call region ${region} clean`;
  demand("R37", region === undefined, subject, expected, "one before that");
}

function demandWithin(subject: Subject, { device, facts }: DiskModel, head: Head, step: number): void {
  const endBytes = head.offsetBytes + head.sizeBytes;
  const deviceBytes = Number(facts?.sizeBytes ?? 0n);
  const isWithin = head.sizeBytes > 0 && endBytes <= Math.min(device.held.length, deviceBytes);
  const isAligned = head.offsetBytes % step === 0 && (head.sizeBytes % step === 0 || endBytes + step > deviceBytes);
  const came = `${head.sizeBytes} bytes at ${head.offsetBytes}`;
  demand("R45", isWithin && isAligned, subject, `multiples of ${step} bytes within log and device`, came);
}

function takeClose({ log, disk }: OnDisk): void {
  const subject = `CLOSE of ${log.name}`;
  const isUsed = disk.underWay.size > 0 && !(disk.underWay.size === 1 && disk.isUnderWay("flush legs"));
  demand("R44", disk.isOpen && !isUsed, subject, "a device that is open, with nothing under way on it", "another");
  const mayClose = disk.openError !== 0 || log.isEnding || log.isLetGo || disk.isUnknownVersion;
  demand("R44", mayClose, subject, "a device that is not wanted any more", "one that is");
  disk.isOpen = false;
}

function takeFlushLegs({ log, disk }: OnDisk, head: Head, identity: Uint8Array): void {
  const subject = `FLUSH_LEGS of ${log.name}`;
  const isFree = !disk.isUnderWay("flush legs");
  demand("R44", isFree, subject, "one flush of the legs at a time", "a second one");
  const uuid = identity.subarray(8);
  const isRight =
    viewOf(identity).getBigUint64(0, true) === log.luid && latin1(uuid.subarray(0, uuid.indexOf(0))) === log.name;
  demand("R44", isRight, subject, "the log's luid and UUID", "others");
  disk.legsBegin();
  begin(disk, "flush legs", head);
}

// ---- state files

function takeStateCreate(conversation: Conversation, head: Head): void {
  const fileOf = ({ table }: LogModel) =>
    new StateFile(new Uint8Array(head.offsetBytes), table.text, table.regionCount);
  const log = logOf(conversation, head, (one) => one.disk === null && fileOf(one).hasRightSize);
  if (log === null || log.stateFile !== null || log.isLetGo) {
    throw new RuleViolation("R47", "STATE_CREATE", "a log without a state file", `handle ${head.handle}`);
  }
  log.stateFile = fileOf(log);
  const came = `${head.offsetBytes} bytes`;
  demand("R47", log.stateFile.hasRightSize, `STATE_CREATE of ${log.name}`, "the size of its log's file", came);
}

function takeStateWrite(conversation: Conversation, head: Head, bytes: Uint8Array): void {
  const log = logOf(conversation, head, none);
  const file = log?.stateFile ?? null;
  if (log === null || file === null) {
    throw new RuleViolation("R47", "STATE_WRITE", "a log with a state file", `handle ${head.handle}`);
  }
  const isWithin = file.write(head.offsetBytes, bytes) && file.write(Number(head.ticket), bytes);
  const came = `${bytes.length} bytes at ${head.offsetBytes} and ${head.ticket}`;
  demand("R47", isWithin, `STATE_WRITE of ${log.name}`, "two places within the file", came);
  if (head.offsetBytes === 0 && log.notWhole === "repairing") conversation.restoring.isWhole(log);
  if (head.offsetBytes === 0) takeLife(conversation, log, file);
  else if (file.isOfMarks(head.offsetBytes)) mayDropMarks(log, file);
}

function takeStateDelete(conversation: Conversation, head: Head): void {
  if (conversation.restoring.refuses(head.handle)) return;
  const log = logOf(conversation, head, none);
  // Of a log whose constructor waits for its device there is no file yet, and nothing to remove.
  if (log === null || (log.stateFile === null && log.disk?.isConstructed !== false)) {
    throw new RuleViolation("R47", "STATE_DELETE", "a log with a state file", `handle ${head.handle}`);
  }
  log.stateFile = null;
  if (log.isEnding || log.isLetGo) return;
  const others = [...log.mirror.logs].filter((one) => one !== log && one.disk !== null && !one.isLetGo);
  const isCrowdedOut = log.disk !== null && others.length >= LUIDS_KEPT && !log.takesWork;
  demand("R19", isCrowdedOut, `STATE_DELETE of ${log.name}`, "a log that stays", "the removal of its state file");
  conversation.letGo(log);
}

/** The state file says where in its life the log is. */
function takeLife(conversation: Conversation, log: LogModel, file: StateFile): void {
  const header = file.header();
  if (header === null) return;
  // Resumed and replaced within one event: the file is only ever seen as it is after that.
  if (header.life === "suspended" && isResumedNow(conversation, log)) becomes(conversation, log, "resumed");
  if (header.life !== log.life) becomes(conversation, log, header.life);
}

/** Whether what the RESUME of a log waits for is done, and another luid that is to be resumed takes its place at once. */
function isResumedNow(conversation: Conversation, log: LogModel): boolean {
  const { disk } = log;
  if (disk === null || log.takesWork || !disk.wasLoaded || !conversation.isAsked(log, "RESUME")) return false;
  return disk.underWay.size === 0 && isBeingReplaced(log);
}

function isBeingReplaced(log: LogModel): boolean {
  return [...log.mirror.logs].some((other) => other !== log && other.disk?.isResuming === true);
}

function becomes(conversation: Conversation, log: LogModel, life: Life): void {
  const before = log.life;
  const isAllowed = mayBecome(conversation, log, life);
  demand("R18", isAllowed, `the life of ${log.name}`, `a log that stays ${before}`, `one that is ${life}`);
  log.life = life;
  if (life === "resumed") resumed(log, before);
  if (life !== "suspended") return;
  log.wasDisplaced = !conversation.isAsked(log, "POSTSUSPEND");
  if (log.doubt === "marks" && !log.wasDisplaced) log.doubt = "ends";
}

function mayBecome(conversation: Conversation, log: LogModel, life: Life): boolean {
  if (life === "resumed") return conversation.isAsked(log, "RESUME");
  if (life === "suspending") return log.life === "resumed" && conversation.isAsked(log, "PRESUSPEND");
  if (life !== "suspended" || !log.takesWork) return false;
  if (conversation.isAsked(log, "POSTSUSPEND")) return true;
  if (log.disk === null || isBeingReplaced(log)) return log.disk !== null;
  // A server that was killed while one luid took over from another leaves two that take work.
  const isRestoring = conversation.inputKind === conversation.abi.INPUT_KIND_RESTORE;
  return isRestoring && [...log.mirror.logs].some((other) => other !== log && other.disk !== null && other.takesWork);
}

function resumed(log: LogModel, before: Life): void {
  const { disk } = log;
  if (disk !== null && before === "suspending") endStoring(log, disk);
  else if (disk !== null && !disk.wasLoaded) adoptUnread(log);
  else if (disk !== null && !disk.hasFailed) log.mirror.isDeviceBehind = false;
  log.wasResumed = true;
  log.isLost = false;
  log.wasDisplaced = false;
  log.restartResync();
}
