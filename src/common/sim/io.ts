/** A read or write of one block, on its way through a mirror. */
export interface Io {
  readonly isWrite: boolean;
  readonly region: number;
  readonly block: number;
  /** What a write writes. */
  readonly version: number;
  /** Hears how it ended: the version read or written, or 0 where it failed. */
  readonly done: (version: number) => void;
}
