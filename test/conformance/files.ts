// State files in a directory, which outlive the process, and the claim of one process on it.

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { StateStore } from "../../src/library/host.ts";

/** Ends the process where another one that runs has the directory. */
export function claim(directory: string): void {
  const path = join(directory, "owner");
  try {
    process.kill(Number(readFileSync(path, "utf8")), 0);
    console.error("Another program has this directory.");
    process.exit(1);
  } catch {
    writeFileSync(path, String(process.pid));
  }
}

export class StateDirectory implements StateStore {
  private readonly folder: string;
  private readonly open = new Map<number, number>();

  constructor(private readonly directory: string) {
    this.folder = join(directory, "state");
    mkdirSync(this.folder, { recursive: true });
  }

  /** Removes what is of another boot. */
  begin(boot: bigint): void {
    const path = join(this.directory, "boot");
    const isOld = !existsSync(path) || readFileSync(path, "utf8") !== String(boot);
    if (isOld) for (const name of readdirSync(this.folder)) rmSync(join(this.folder, name));
    writeFileSync(path, String(boot));
  }

  *list(): Iterable<{ handle: number; bytes: Uint8Array }> {
    for (const name of readdirSync(this.folder)) {
      yield { handle: Number(name), bytes: readFileSync(join(this.folder, name)) };
    }
  }

  create(handle: number, sizeBytes: number): void {
    this.delete(handle);
    writeFileSync(this.path(handle), new Uint8Array(sizeBytes));
  }

  write(handle: number, offsetBytes: number, bytes: Uint8Array): void {
    let file = this.open.get(handle);
    if (file === undefined) {
      file = openSync(this.path(handle), "r+");
      this.open.set(handle, file);
    }
    writeSync(file, bytes, 0, bytes.length, offsetBytes);
  }

  delete(handle: number): void {
    const file = this.open.get(handle);
    if (file !== undefined) closeSync(file);
    this.open.delete(handle);
    rmSync(this.path(handle), { force: true });
  }

  private path(handle: number): string {
    return join(this.folder, String(handle));
  }
}
