// The logs that a server knows, found by luid and UUID, by handle, and by mirror.

import type { LogModel, MirrorModel } from "./log-model.ts";

export class KnownLogs {
  /** Those that a request finds, by UUID and luid. */
  private readonly byName = new Map<string, Map<bigint, LogModel>>();
  private readonly byHandle = new Map<number, LogModel>();
  private readonly mirrors = new Map<string, MirrorModel>();

  /** All that there are, those too that only wait for their device. */
  get all(): Iterable<LogModel> {
    return this.byHandle.values();
  }

  get count(): number {
    return this.byHandle.size;
  }

  find(luid: bigint, uuid: string): LogModel | null {
    return this.byName.get(uuid)?.get(luid) ?? null;
  }

  ofHandle(handle: number): LogModel | null {
    return this.byHandle.get(handle) ?? null;
  }

  mirrorOf(uuid: string): MirrorModel {
    let mirror = this.mirrors.get(uuid);
    if (mirror === undefined) {
      mirror = { uuid, logs: new Set(), isDeviceBehind: false };
      this.mirrors.set(uuid, mirror);
    }
    return mirror;
  }

  /** From now on requests find this log. */
  add(log: LogModel): void {
    const { luid, mirror } = log;
    const luids = this.byName.get(mirror.uuid) ?? new Map<bigint, LogModel>();
    this.byName.set(mirror.uuid, luids.set(luid, log));
  }

  giveHandle(log: LogModel, handle: number): void {
    log.handle = handle;
    this.byHandle.set(handle, log);
  }

  /** No request finds it any more. */
  letGo(log: LogModel): void {
    log.isLetGo = true;
    const { luid, mirror } = log;
    const luids = this.byName.get(mirror.uuid);
    if (luids?.get(luid) !== log) return;
    luids.delete(luid);
    if (luids.size === 0) this.byName.delete(mirror.uuid);
  }

  /** It is gone, and its handle is free. */
  remove(log: LogModel): void {
    this.letGo(log);
    if (log.handle !== null) this.byHandle.delete(log.handle);
    log.mirror.logs.delete(log);
    if (log.mirror.logs.size === 0) this.mirrors.delete(log.mirror.uuid);
  }
}
