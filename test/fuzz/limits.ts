// Which of the core's limits (assembly/limits.ts) an input has reached, as far as it shows outside. What happens there must
// be as right as everywhere else; a fuzzer that never comes to a limit says nothing of it.

import type { Engine } from "../../src/common/engine.ts";

/** The limits, by what there was no more room for. */
export const LIMITS = [
  "handles",
  "luids of a mirror",
  "writes of a batch",
  "bytes of a write",
  "bytes of a read",
  "lazy blocks of an input",
  "requests that wait for marks",
  "requests that wait for a log's life",
  "requests that wait for logs to become whole",
  "bytes of a constructor string",
  "bytes of a part of a state file",
  "bytes of an input",
] as const;
export type Limit = (typeof LIMITS)[number];

const ENOMEM = 12;

export class LimitWatch {
  private readonly writes = new Map<number, number>();
  private view!: DataView;

  /** `numbers` are the module's exports. */
  constructor(
    private readonly engine: Engine,
    private readonly numbers: Readonly<Record<string, number>>,
    private readonly onLimit: ((limit: Limit) => void) | undefined,
  ) {}

  /** An input of this kind stands in the input area; its effects follow. */
  begin(kind: number): void {
    const { abi } = this.engine;
    this.writes.clear();
    this.view = new DataView(this.engine.bytes().buffer);
    const size = this.word(abi.INPUT_PAYLOAD_SIZE);
    // The regions of a request take 8 bytes each.
    if (size > abi.INPUT_PAYLOAD_BYTES_MAX - 8) this.reach("bytes of an input");
    const isPart =
      kind === abi.INPUT_KIND_RESTORE && this.word(abi.INPUT_PAYLOAD + abi.HEAD_SIZE) === abi.RESTORE_BYTES;
    if (isPart) this.reach("bytes of a part of a state file");
  }

  effect(kind: number, payload: number, size: number): void {
    const { engine, numbers } = this;
    const { abi } = engine;
    if (kind === abi.EFFECT_KIND_READ) {
      if (this.word(payload + abi.HEAD_SIZE) === abi.READ_BYTES_MAX) this.reach("bytes of a read");
    } else if (kind === abi.EFFECT_KIND_WRITE) {
      const handle = this.word(payload + abi.HEAD_HANDLE);
      const writes = (this.writes.get(handle) ?? 0) + 1;
      this.writes.set(handle, writes);
      if (writes === numbers.EXTENTS_MAX) this.reach("writes of a batch");
      if (this.word(payload + abi.HEAD_SIZE) === numbers.EXTENT_BYTES_MAX) this.reach("bytes of a write");
    } else if (kind === abi.EFFECT_KIND_WAKE) {
      // The rest of a round over lazy blocks follows at once.
      const atNs = this.view.getBigUint64(payload, true);
      if (atNs === this.view.getBigUint64(abi.INPUT_NOW, true) + 1n) this.reach("lazy blocks of an input");
    } else if (kind === abi.EFFECT_KIND_NOTICE) {
      this.notice(payload);
    } else if (kind === abi.EFFECT_KIND_SEND && size >= abi.FRAME_BYTES) {
      const isOutOfRoom = this.view.getInt32(payload + abi.ULOG_ERROR, true) === -ENOMEM;
      if (isOutOfRoom && this.hasAllHandles()) this.reach("handles");
    }
  }

  /** A request of this type was let go for a later one of its kind. */
  letGo(type: number): void {
    const isOfMarks = type === this.engine.abi.REQUEST_FLUSH;
    this.reach(isOfMarks ? "requests that wait for marks" : "requests that wait for a log's life");
  }

  /** Requests for logs that were not whole were let go. */
  heldLetGo(): void {
    this.reach("requests that wait for logs to become whole");
  }

  private notice(payload: number): void {
    const { numbers } = this;
    const code = this.word(payload + (numbers.NOTICE_CODE as number));
    if (code === numbers.NOTICE_CROWDED_OUT) {
      this.reach("luids of a mirror");
    } else if (code === numbers.NOTICE_REFUSED_CONSTRUCTOR) {
      const bytes = this.view.getBigUint64(payload + (numbers.NOTICE_DETAIL as number), true);
      if (bytes > (numbers.CONSTRUCTOR_BYTES_MAX as number)) this.reach("bytes of a constructor string");
    }
  }

  private hasAllHandles(): boolean {
    const { HANDLES } = this.engine.abi;
    for (let handle = 0; handle < (this.numbers.HANDLE_COUNT as number); handle++) {
      if (this.word(HANDLES + handle * 4) === 0) return false;
    }
    return true;
  }

  private reach(limit: Limit): void {
    this.onLimit?.(limit);
  }

  private word(address: number): number {
    return this.view.getUint32(address, true);
  }
}
