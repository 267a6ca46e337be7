// Moves out of the way what lies where the server keeps its own files and is none of them. It is kept, since somebody may
// miss it; and it keeps no server from starting.

import { existsSync, mkdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";

/**
 * Moves `path` into `folder`, under another name where its own is taken there. `why` goes on from the path: "is empty".
 * Returns a sentence for the log, also where it cannot be moved; never throws.
 */
export function setAside(path: string, folder: string, why: string): { isMoved: boolean; sentence: string } {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const name = join(folder, basename(path));
    let target = name;
    for (let number = 1; existsSync(target); number++) target = `${name}.${number}`;
    renameSync(path, target);
    return { isMoved: true, sentence: `${path} ${why}: it was moved to ${target}. Remove it if nobody misses it.` };
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    return { isMoved: false, sentence: `${path} ${why}, and it cannot be moved away (${reason}): it is ignored.` };
  }
}
