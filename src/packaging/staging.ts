// A folder with the files of a package as they are to be installed. Modes are set here, whatever the umask and the sources have: a
// package is to be the same wherever it is built.

import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";

const KIB = 1024;

export class Staging {
  /** `folder` is emptied. */
  constructor(readonly folder: string) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }

  write(path: string, content: string | Uint8Array, mode = 0o644): void {
    const target = this.target(path);
    writeFileSync(target, content);
    chmodSync(target, mode);
  }

  /** Compressed as well as gzip can, and without a date. */
  writeCompressed(path: string, content: string | Uint8Array): void {
    this.write(`${path}.gz`, gzipSync(content, { level: 9 }));
  }

  copy(source: string, path: string, mode = 0o644): void {
    const target = this.target(path);
    copyFileSync(source, target);
    chmodSync(target, mode);
  }

  /** The files of a folder and of those below it, as far as `isWanted` says so of their paths in it. */
  copyFolder(source: string, path: string, isWanted: (file: string) => boolean): void {
    for (const file of filesOf(source).filter(isWanted)) this.copy(join(source, file), join(path, file));
  }

  /** Both paths are from the root of the machine that it is installed on. */
  link(path: string, leadsTo: string): void {
    symlinkSync(relative(dirname(path), leadsTo), this.target(path));
  }

  /** Sorted; without folders. */
  files(): string[] {
    return filesOf(this.folder);
  }

  /** As Debian counts: files by the KiB that they begin, folders and links as one. */
  installedKib(): number {
    const sizes = readdirSync(this.folder, { recursive: true, withFileTypes: true }).map((entry) =>
      entry.isFile() ? Math.ceil(lstatSync(join(entry.parentPath, entry.name)).size / KIB) : 1,
    );
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Folders get the mode that they have everywhere, and all that is no link gets this time. */
  finish(seconds: number): void {
    for (const entry of readdirSync(this.folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isDirectory()) chmodSync(path, 0o755);
      if (!entry.isSymbolicLink()) utimesSync(path, seconds, seconds);
    }
    chmodSync(this.folder, 0o755);
  }

  read(path: string): Uint8Array {
    return readFileSync(join(this.folder, path));
  }

  isLink(path: string): boolean {
    return lstatSync(join(this.folder, path)).isSymbolicLink();
  }

  private target(path: string): string {
    const target = join(this.folder, path);
    mkdirSync(dirname(target), { recursive: true });
    return target;
  }
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}
