// The logs of the server before this one, from the state files that it left: the first part of each before the first request, so that
// the core knows all logs, and the others between requests. Requests for a log wait in the core until its last part has come.

import type { EffectHandler, Engine } from "../../common/engine.ts";
import type { KeptState, StateFiles } from "../state/state-files.ts";

export class Restore {
  /** Files of which parts are still to be given, and where the next part begins. */
  private readonly coming: { kept: KeptState; offsetBytes: number }[] = [];

  /** Gives the first parts. */
  constructor(
    private readonly states: StateFiles | undefined,
    private readonly engine: Engine,
    private readonly handler: EffectHandler,
    nowNs: () => number,
  ) {
    for (const kept of states?.list() ?? []) {
      const offsetBytes = this.give(kept, 0, nowNs());
      if (offsetBytes < kept.sizeBytes) this.coming.push({ kept, offsetBytes });
    }
  }

  get isUnderWay(): boolean {
    return this.coming.length > 0;
  }

  /** Gives the next part. */
  next(nowNs: number): void {
    const file = this.coming[0];
    if (file === undefined) return;
    // One that the core has removed meanwhile, or made anew, is not what was found.
    if (this.states?.sizeOf(file.kept.handle) === file.kept.sizeBytes) {
      file.offsetBytes = this.give(file.kept, file.offsetBytes, nowNs);
      if (file.offsetBytes < file.kept.sizeBytes) return;
    }
    this.coming.shift();
  }

  private give({ handle, sizeBytes }: KeptState, offsetBytes: number, nowNs: number): number {
    const { engine, handler, states } = this;
    const part = states?.read(handle, offsetBytes, engine.abi.RESTORE_BYTES) ?? new Uint8Array(0);
    return engine.restorePart(handle, sizeBytes, offsetBytes, part, nowNs, handler);
  }
}
