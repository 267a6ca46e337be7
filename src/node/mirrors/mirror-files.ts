// The folder of the files that declare mirrors. A file is written beside its place and then put there, so that a power cut leaves the
// old one or the new one.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { tryLock } from "../system-calls.ts";
import { type MirrorFile, parseMirrorFile } from "./mirror-file.ts";

export const MIRRORS_DIRECTORY_DEFAULT = "/etc/dm-ulog/mirrors.d";

const ENDING = ".toml";
/** DM_NAME_LEN of include/uapi/linux/dm-ioctl.h, without the NUL, and with room for what tells a leg's stand-in from its mirror. */
const NAME_CHARACTERS_MAX = 118;
const LOCK_STEP_MS = 50;

export interface DeclaredMirror {
  name: string;
  path: string;
  mirror: MirrorFile;
}

/**
 * Throws a sentence where a name cannot be a mirror's: of device-mapper, of a file and of a systemd unit alike. Nothing of it needs an
 * escape in /dev/mapper.
 */
export function checkMirrorName(name: string): void {
  if (name.length <= NAME_CHARACTERS_MAX && /^[A-Za-z0-9_][A-Za-z0-9_.:-]*$/.test(name) && name !== "control") return;
  throw new Error(
    `"${name}" cannot be the name of a mirror. Use up to ${NAME_CHARACTERS_MAX} letters, digits, and _ . : - (these three not at ` +
      'the beginning), and not "control", which is device-mapper\'s own.',
  );
}

export function mirrorPath(directory: string, name: string): string {
  checkMirrorName(name);
  return join(directory, name + ENDING);
}

/** Names of all mirrors that are declared, in alphabetical order. None where there is no such folder. */
export function declaredNames(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith(ENDING) && !name.startsWith("."));
    return names.map((name) => name.slice(0, -ENDING.length)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Reads one. Throws sentences where it is not there or is not right. */
export function readDeclared(directory: string, name: string): DeclaredMirror {
  const path = mirrorPath(directory, name);
  return { name, path, mirror: parseMirrorFile(path, readText(path, name)) };
}

/** The text of a mirror's file. Throws a sentence where there is none. */
export function readText(path: string, name: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new Error(
      `No mirror ${name} is declared: there is no ${path}. dm-ulog create declares one, dm-ulog list shows them.`,
    );
  }
}

/** Puts a file in its place, on disk when this returns. */
export function writeDeclared(path: string, text: string): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const beside = join(folder, `.${path.slice(folder.length + 1)}.new`);
  const file = openSync(beside, "w", 0o644);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, path);
  syncFolder(folder);
}

/** Deletes a file, on disk when this returns. */
export function deleteDeclared(path: string): void {
  rmSync(path);
  syncFolder(dirname(path));
}

/**
 * Runs a change while no other program makes one: all of them lock the folder. Waits `waitMs` for it, and throws a sentence where it is
 * locked for longer.
 */
export async function withMirrorsLocked<T>(directory: string, waitMs: number, run: () => Promise<T>): Promise<T> {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const folder = openSync(directory, "r");
  try {
    const endMs = performance.now() + waitMs;
    while (!tryLock(folder)) {
      if (performance.now() >= endMs)
        throw new Error(`Another dm-ulog changes the mirrors of ${directory}. Try again when it has done.`);
      await sleep(LOCK_STEP_MS);
    }
    return await run();
  } finally {
    closeSync(folder);
  }
}

function syncFolder(folder: string): void {
  const file = openSync(folder, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
