// What the host has carried out on devices and legs.

import { refusalOf } from "./constructing.ts";
import type { Conversation } from "./conversation.ts";
import type { DeviceFacts, DiskModel, Operation, OperationKind } from "./disk-model.ts";
import { adopt, fail } from "./load.ts";
import type { LogModel } from "./log-model.ts";
import { EIO, viewOf } from "./wire.ts";

/** Takes a completion. One that completes nothing is the host's mistake, and means nothing. */
export function takeCompletion(conversation: Conversation, payload: Uint8Array): void {
  const { abi, logs } = conversation;
  if (payload.length < abi.COMPLETION_DATA) return;
  const view = viewOf(payload);
  const log = logs.ofHandle(view.getUint32(abi.HEAD_HANDLE, true));
  const disk = log?.disk ?? null;
  if (log === null || disk === null) return;
  const kind = operationOf(conversation, view.getUint32(abi.COMPLETION_EFFECT, true));
  const offsetBytes = Number(view.getBigUint64(abi.HEAD_OFFSET, true));
  const ticket = view.getBigUint64(abi.HEAD_TICKET, true);
  const operation = [...disk.underWay].find((one) => {
    return one.kind === kind && one.offsetBytes === offsetBytes && one.ticket === ticket;
  });
  if (operation === undefined) return;
  const told = view.getInt32(abi.COMPLETION_ERROR, true);
  const error = told > 0 ? EIO : told;
  if (kind === "open" && error === 0 && payload.length < abi.COMPLETION_OPEN_BYTES) return;
  conversation.touch(log);
  disk.underWay.delete(operation);
  if (kind === "open") opened(conversation, log, disk, error, error === 0 ? factsOf(conversation, view) : null);
  else if (kind === "read") read(conversation, log, disk, operation, error, payload.subarray(abi.COMPLETION_DATA));
  else if (kind === "write") written(log, disk, operation, error);
  else disk.legsEnd(error === 0);
}

function operationOf({ abi }: Conversation, effect: number): OperationKind | null {
  if (effect === abi.EFFECT_KIND_OPEN) return "open";
  if (effect === abi.EFFECT_KIND_READ) return "read";
  if (effect === abi.EFFECT_KIND_WRITE) return "write";
  return effect === abi.EFFECT_KIND_FLUSH_LEGS ? "flush legs" : null;
}

function factsOf({ abi }: Conversation, view: DataView): DeviceFacts {
  const major = view.getUint32(abi.COMPLETION_MAJOR, true);
  const minor = view.getUint32(abi.COMPLETION_MINOR, true);
  const fileSystem = view.getBigUint64(abi.COMPLETION_FILE_SYSTEM, true);
  const inode = view.getBigUint64(abi.COMPLETION_INODE, true);
  const isFile = major === 0 && minor === 0;
  const isTold = !isFile || fileSystem !== 0n || inode !== 0n;
  const identity = isFile ? `file ${fileSystem}:${inode}` : `device ${major}:${minor}`;
  const sizeBytes = view.getBigUint64(abi.COMPLETION_DEVICE_BYTES, true);
  return { sizeBytes, major, minor, identity: isTold ? identity : null };
}

function opened(
  conversation: Conversation,
  log: LogModel,
  disk: DiskModel,
  error: number,
  facts: DeviceFacts | null,
): void {
  disk.openError = error;
  if (facts !== null) {
    disk.openError = refusalOf(conversation, log, facts);
    disk.facts = facts;
    disk.isOpen = true;
    disk.isUnknownVersion = false;
  }
  // One that runs already, of an earlier server, has lost its device.
  if (disk.openError !== 0 && log.takesWork && !log.isEnding && !log.isLetGo) fail(log, disk);
}

function read(
  conversation: Conversation,
  log: LogModel,
  disk: DiskModel,
  { offsetBytes, sizeBytes }: Operation,
  error: number,
  data: Uint8Array,
): void {
  if (log.isEnding || log.isLetGo) {
    disk.isLoading = false;
    return;
  }
  const isRead = error === 0 && data.length >= sizeBytes;
  if (isRead) disk.device.wasRead(offsetBytes, data.subarray(0, sizeBytes));
  const goesOn = isRead && conversation.hasEffect(conversation.abi.EFFECT_KIND_READ, log);
  if (!goesOn) adopt(log, disk, isRead);
}

function written(log: LogModel, disk: DiskModel, operation: Operation, error: number): void {
  disk.lookAt(disk.device.writeEnded(operation, error === 0));
  if (error !== 0) disk.isFailing = true;
  // Writes that began together fail together: only when all have ended is anybody told.
  if (disk.isUnderWay("write") || !disk.isFailing) return;
  disk.isFailing = false;
  fail(log, disk);
}
