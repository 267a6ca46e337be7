/** A read or write of one block, or a flush of all that was written, on its way through a mirror. */
export interface Io {
  readonly kind: "read" | "write" | "flush";
  readonly region: number;
  readonly block: number;
  /** What a write writes. */
  readonly version: number;
  /** Hears how it ended: the version read or written, 1 for a flush, or 0 where it failed. */
  readonly done: (version: number) => void;
}
