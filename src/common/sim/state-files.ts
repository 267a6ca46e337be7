// What a server leaves behind for its successor: the state files, in memory that outlives a process but no power cut.

export class StateFiles {
  /** By handle. */
  readonly files = new Map<number, Uint8Array>();
  /** The files as they were some time ago, for a fault. */
  private remembered = new Map<number, Uint8Array>();

  create(handle: number, sizeBytes: number): void {
    this.files.set(handle, new Uint8Array(sizeBytes));
  }

  write(handle: number, offsetBytes: number, bytes: Uint8Array): void {
    this.files.get(handle)?.set(bytes, offsetBytes);
  }

  delete(handle: number): void {
    this.files.delete(handle);
  }

  /** Everything is lost. */
  clear(): void {
    this.files.clear();
  }

  remember(): void {
    this.remembered = new Map([...this.files].map(([handle, file]) => [handle, file.slice()]));
  }

  /** Puts back what was remembered of the files that are there. */
  recall(): void {
    for (const [handle, file] of this.remembered) {
      if (this.files.get(handle)?.length === file.length) this.files.set(handle, file.slice());
    }
  }
}
