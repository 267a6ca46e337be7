// Writes the logs' state files to a store that a program brings. If the store fails, the file is deleted: a log that is
// restored from an old file would call regions clean that are not.

import type { StateStore } from "./host.ts";

export class StateKeeper {
  /** Handles whose files are up to date. */
  private readonly kept = new Set<number>();

  constructor(
    private readonly store: StateStore,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** The files of the previous engine, by handle. They are kept up to date from now on. */
  list(): { handle: number; bytes: Uint8Array }[] {
    const files = [...this.store.list()].sort((a, b) => a.handle - b.handle);
    for (const { handle } of files) this.kept.add(handle);
    return files;
  }

  create(handle: number, sizeBytes: number): void {
    this.kept.add(handle);
    this.attempt(handle, () => this.store.create(handle, sizeBytes));
  }

  write(handle: number, offsetBytes: number, bytes: Uint8Array): void {
    if (this.kept.has(handle)) this.attempt(handle, () => this.store.write(handle, offsetBytes, bytes));
  }

  delete(handle: number): void {
    this.kept.delete(handle);
    this.attempt(handle, () => this.store.delete(handle));
  }

  private attempt(handle: number, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.failed(error);
      if (this.kept.has(handle)) this.delete(handle);
    }
  }
}
