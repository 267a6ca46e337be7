// The logs that a server knows, found by luid and UUID, by handle, and by mirror.

import type { LogModel, MirrorModel } from "./log-model.ts";

export class KnownLogs {
  /** Those that a request finds. */
  private readonly byName = new Map<string, LogModel>();
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
    return this.byName.get(`${luid} ${uuid}`) ?? null;
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
    this.byName.set(nameOf(log), log);
  }

  giveHandle(log: LogModel, handle: number): void {
    log.handle = handle;
    this.byHandle.set(handle, log);
  }

  /** No request finds it any more. */
  letGo(log: LogModel): void {
    log.isLetGo = true;
    if (this.byName.get(nameOf(log)) === log) this.byName.delete(nameOf(log));
  }

  /** It is gone, and its handle is free. */
  remove(log: LogModel): void {
    this.letGo(log);
    if (log.handle !== null) this.byHandle.delete(log.handle);
    log.mirror.logs.delete(log);
    if (log.mirror.logs.size === 0) this.mirrors.delete(log.mirror.uuid);
  }
}

function nameOf({ luid, mirror }: LogModel): string {
  return `${luid} ${mirror.uuid}`;
}
