// Logs that come back from the state files of an earlier server, part by part: the first parts of all before the kernel speaks.

import type { TraceEffect } from "../trace/event.ts";
import type { Conversation } from "./conversation.ts";
import { DiskModel } from "./disk-model.ts";
import { LogModel } from "./log-model.ts";
import { demandAllSaved } from "./saved.ts";
import { firstHeader, readStateFile, StateFile, type StateHeader, type StoredLog } from "./state-file.ts";
import { readTable, type Table } from "./table.ts";
import { demand } from "./violation.ts";
import { type Request, viewOf } from "./wire.ts";

/** A file of which not all has come. */
interface Part {
  readonly pieces: Uint8Array[];
  readonly fileBytes: number;
  gotBytes: number;
  isRefused: boolean;
  /** Whose file it is, as its first part says; null where that says nothing. */
  readonly header: StateHeader | null;
}

/** For so many regions there may be no memory. */
const MANY_REGIONS = 2 ** 20;

export class Restoring {
  private readonly parts = new Map<number, Part>();
  /** Handles whose files the event in hand has the core remove. */
  private removed = new Set<number>();
  /** The file whose last part has come in the event in hand. */
  private whole: { handle: number; part: Part } | null = null;
  private readonly restored: LogModel[] = [];

  constructor(private readonly conversation: Conversation) {}

  /** Handles that files hold of which not all has come. */
  get count(): number {
    return [...this.parts.values()].filter(({ isRefused }) => !isRefused).length;
  }

  take(payload: Uint8Array): void {
    const { abi, logs } = this.conversation;
    this.removed.clear();
    if (payload.length < abi.HEAD_BYTES) return;
    const view = viewOf(payload);
    const handle = view.getUint32(abi.HEAD_HANDLE, true);
    const offsetBytes = Number(view.getBigUint64(abi.HEAD_OFFSET, true));
    const fileBytes = Number(view.getBigUint64(abi.HEAD_TICKET, true));
    const bytes = payload.subarray(abi.HEAD_BYTES);
    const isPart = view.getUint32(abi.HEAD_SIZE, true) === bytes.length && handle < abi.HANDLE_COUNT;
    if (!isPart || offsetBytes + bytes.length > fileBytes || logs.ofHandle(handle) !== null) return;
    if (offsetBytes === 0) {
      const header = firstHeader(bytes);
      this.parts.set(handle, { pieces: [], fileBytes, gotBytes: 0, isRefused: false, header });
    }
    const part = this.parts.get(handle);
    if (part === undefined || part.gotBytes !== offsetBytes || part.fileBytes !== fileBytes) return;
    part.pieces.push(bytes.slice());
    part.gotBytes += bytes.length;
    if (part.gotBytes < fileBytes) return;
    this.parts.delete(handle);
    this.whole = { handle, part };
    this.restore(handle, part);
  }

  /** Whether parts of the state file of this request's log are still to come. */
  isComing({ luid, uuid }: Request): boolean {
    return [...this.parts.values()].some(({ header, isRefused }) => {
      return !isRefused && header !== null && header.luid === luid && header.uuid === uuid;
    });
  }

  /** A log whose damaged file was written anew. */
  isWhole(log: LogModel): void {
    log.notWhole = null;
    this.restored.push(log);
  }

  /** The kernel speaks. */
  kernelSpeaks(): void {
    this.removed.clear();
  }

  /** Whether the removal of this file is that of one that cannot be restored. */
  refuses(handle: number): boolean {
    const { abi, inputKind } = this.conversation;
    const part = this.parts.get(handle) ?? (this.whole?.handle === handle ? this.whole.part : undefined);
    if (part === undefined || this.conversation.logs.ofHandle(handle) !== null) return false;
    part.isRefused = true;
    // Whose log no table names.
    if (inputKind !== abi.INPUT_KIND_RESTORE) this.parts.delete(handle);
    this.removed.add(handle);
    return true;
  }

  /** Whether an effect is the removal of such a file. */
  owns({ kind, payload }: TraceEffect): boolean {
    const { abi } = this.conversation;
    return kind === abi.EFFECT_KIND_STATE_DELETE && this.removed.has(viewOf(payload).getUint32(abi.HEAD_HANDLE, true));
  }

  lookAtEnd(): void {
    const { whole } = this;
    this.whole = null;
    if (whole !== null && this.conversation.logs.ofHandle(whole.handle) === null) {
      const { handle, part } = whole;
      demand(
        "R48",
        part.isRefused,
        `the state file of handle ${handle}`,
        "the removal of what is no state file",
        "none",
      );
    }
    for (const log of this.restored.splice(0)) {
      const subject = `the state file of ${log.name}`;
      demandAllSaved(log, "R48", subject);
    }
  }

  private restore(handle: number, part: Part): void {
    const { logs } = this.conversation;
    const bytes = joined(part);
    const stored = readStateFile(bytes, (text) => readTable(text)?.regionCount ?? null);
    const table = stored === null ? null : readTable(stored.text);
    if (stored === null || table === null || logs.find(stored.luid, stored.uuid) !== null) return;
    const mayLackMemory = table.regionCount >= MANY_REGIONS;
    const isRefused = part.isRefused || this.conversation.removesState(handle);
    if (isRefused && mayLackMemory) return;
    demand("R48", !isRefused, `the state file of ${stored.uuid}`, "a log that is restored", "the removal of its file");
    const log = this.make(stored, table, bytes);
    logs.add(log);
    logs.giveHandle(log, handle);
    this.conversation.touch(log);
    if (this.conversation.writesHeader(log)) this.restored.push(log);
    else log.notWhole = "repairing";
  }

  private make(stored: StoredLog, table: Table, bytes: Uint8Array): LogModel {
    const log = new LogModel(
      stored.luid,
      this.conversation.logs.mirrorOf(stored.uuid),
      table,
      this.conversation.regionsMax,
    );
    log.life = stored.life;
    log.wasResumed = stored.wasResumed;
    log.isLost = stored.reconnects;
    log.doubt = stored.doubt;
    for (const region of stored.outOfSync) log.outOfSync.add(region);
    for (const region of stored.marked) log.marked.add(region);
    log.isRoundKnown = false;
    log.stateFile = new StateFile(bytes, table.text, table.regionCount);
    if (stored.isDeviceBehind) log.mirror.isDeviceBehind = true;
    if (table.device === null) return log;
    const disk = new DiskModel(log);
    log.disk = disk;
    disk.isConstructed = true;
    disk.lookAtAll();
    // Nobody knows when the legs were flushed last.
    for (const region of disk.lagging) disk.unsettled.add(region);
    return log;
  }
}

function joined({ pieces, fileBytes }: Part): Uint8Array {
  const file = new Uint8Array(fileBytes);
  let at = 0;
  for (const piece of pieces) {
    file.set(piece, at);
    at += piece.length;
  }
  return file;
}
