// The parts that a program brings to embed the engine: a transport, and, for more than logs in memory, a storage, a store for
// state files and a clock.

/** The way from the engine to the kernel. `assembly/README.md` describes the bytes: connector messages within netlink messages. */
export interface Transport {
  /**
   * Sends a datagram to netlink port 0, the kernel's. The transport may keep the bytes. A lost datagram does no harm: the
   * kernel asks again after 15 s. Errors that this throws go to `onFailure`.
   */
  send(datagram: Uint8Array): void;
}

/**
 * The devices of disk logs, and the legs of mirrors. A rejection reaches the core as the errno of its
 * error: its `errno`, as errors of Node.js have it; EIO if it has none.
 */
export interface Storage {
  /**
   * Opens a log device for reading and writing, and locks it against other servers.
   * @param name a path or `major:minor`, as in the mirror's table
   */
  open(name: string): LogStorage | Promise<LogStorage>;
  /**
   * Flushes the write caches of a mirror's legs, beginning after the call. If it is left out or rejects, regions stay
   * dirty on the log device after their last write: more is resynced after a power cut, but nothing is lost.
   */
  flushLegs?(log: LogName): void | Promise<void>;
}

/** The names of a log. */
export interface LogName {
  /** As in the mirror's table. */
  uuid: string;
  /** The kernel's number for one instance of a log, an unsigned 64-bit integer. */
  luid: bigint;
}

/** An open log device. Several operations may be under way at once, and end in any order. */
export interface LogStorage {
  readonly sizeBytes: number;
  /** The numbers of a block device. Leave them out for anything else; the kernel then does not hold it open. */
  readonly numbers?: { readonly major: number; readonly minor: number } | undefined;
  /**
   * The numbers of a regular file: its file system (`st_dev`) and inode (`st_ino`). By them the engine refuses a second mirror
   * that was given the same file. Leave them out where every name is another storage.
   */
  readonly file?: { readonly fileSystem: bigint; readonly inode: bigint } | undefined;
  /** Reads exactly this many bytes, at most 64 KiB. It must bypass caches and return the content of the device itself. */
  read(offsetBytes: number, sizeBytes: number): Uint8Array | Promise<Uint8Array>;
  /**
   * Writes all the bytes. Resolves once a power cut cannot undo it, because the kernel then starts a write to the
   * mirror. The storage may keep the bytes.
   */
  write(offsetBytes: number, bytes: Uint8Array): void | Promise<void>;
  /** Closes the device. No operation is under way on it. */
  close?(): void | Promise<void>;
}

/**
 * Keeps a small file for each log, with which another engine continues where this one ended. It must outlive the engine's
 * process, and must be gone after a reboot of the kernel. A call must be finished when it returns. If a call throws, the error
 * goes to `onFailure`, and the log's file is deleted, because an old file is worse than none.
 */
export interface StateStore {
  /** The files of the previous engine, for `DirtyLogEngine.create`. */
  list(): Iterable<{ handle: number; bytes: Uint8Array }>;
  /** Creates a file of zeros, which replaces any file with this handle. */
  create(handle: number, sizeBytes: number): void;
  /** Writes a part of it. The bytes belong to the engine: copy those that you need later. */
  write(handle: number, offsetBytes: number, bytes: Uint8Array): void;
  /** Removes the file, if there is one. */
  delete(handle: number): void;
}

/** The engine's only source of time. */
export interface Clock {
  /** Nanoseconds since any moment; never goes backwards. */
  nowNs(): number;
  /** Calls back once, after this many nanoseconds or later. Returns a function that cancels the call. */
  after(delayNs: number, callback: () => void): () => void;
}
