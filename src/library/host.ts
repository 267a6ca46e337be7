// What a program that embeds the engine brings: a transport, and, where it wants more than logs in memory, storage, a
// store for state files and a clock.

/** Where the kernel hears the engine: `assembly/README.md` has the bytes, the connector's within netlink's. */
export interface Transport {
  /**
   * Sends a datagram to netlink port 0, the kernel's. The bytes are the transport's own. One that is lost does no harm: the
   * kernel asks again after 15 s. What this throws is told to `onFailure`.
   */
  send(datagram: Uint8Array): void;
}

/**
 * The devices that disk logs are kept on, and the legs of mirrors. What rejects is told to the core as the errno of the
 * error: its `errno`, as errors of Node.js have it; EIO where it has none.
 */
export interface Storage {
  /**
   * Opens a log device for reading and writing, and keeps other servers from it.
   * @param name a path or `major:minor`, as the mirror's table has it
   */
  open(name: string): LogStorage | Promise<LogStorage>;
  /**
   * Flushes the write caches of a mirror's legs, beginning after it was called. Left out, as where it rejects, regions stay
   * dirty on the log device after their last write: more is resynced after a power cut, nothing is lost.
   */
  flushLegs?(log: LogName): void | Promise<void>;
}

/** The names of a log. */
export interface LogName {
  /** As the mirror's table has it. */
  uuid: string;
  /** The number by which the kernel tells instances of one log apart, an unsigned 64-bit integer. */
  luid: bigint;
}

/** An open log device. Several operations may be under way at once, and end in any order. */
export interface LogStorage {
  readonly sizeBytes: number;
  /** The numbers of a block device; left out for anything else, which the kernel is then not told to hold. */
  readonly numbers?: { readonly major: number; readonly minor: number } | undefined;
  /** Reads exactly so many bytes, at most 64 KiB. What lies past caches is what counts: the device's own content. */
  read(offsetBytes: number, sizeBytes: number): Uint8Array | Promise<Uint8Array>;
  /**
   * Writes all the bytes. Resolves once a power cut cannot undo it: the kernel lets a write to the mirror begin on the
   * strength of that. The bytes are the storage's own.
   */
  write(offsetBytes: number, bytes: Uint8Array): void | Promise<void>;
  /** Nothing is under way. */
  close?(): void | Promise<void>;
}

/**
 * Keeps a small file for each log, by which another engine goes on where this one ended. It must outlive the engine's
 * process, and must be gone after a reboot of the kernel that asks. Calls are done when they return. One that throws is
 * told to `onFailure`, and the log's file is deleted: better none than one that is old.
 */
export interface StateStore {
  /** The files of the engine before, for `DirtyLogEngine.create`. */
  list(): Iterable<{ handle: number; bytes: Uint8Array }>;
  /** Makes a file of zeros, in place of the one with this handle. */
  create(handle: number, sizeBytes: number): void;
  /** Writes a part of it. The bytes are the engine's: what is needed later is to be copied. */
  write(handle: number, offsetBytes: number, bytes: Uint8Array): void;
  /** Removes it, where there is one. */
  delete(handle: number): void;
}

/** The engine's only source of time. */
export interface Clock {
  /** Nanoseconds since any moment; never runs backwards. */
  nowNs(): number;
  /** Calls back once, after so many nanoseconds or later. Returns what takes the call back. */
  after(delayNs: number, callback: () => void): () => void;
}
