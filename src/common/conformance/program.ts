// A host's program as the kit has it: frames to it, frames from it, and its end.

import type { Frame } from "./frames.ts";

/** What a program has done instead of writing a frame. */
export interface Ending {
  readonly how: "ended" | "silent" | "garbage";
  /** What is to be said of it: “has ended with status 1”. */
  readonly words: string;
  /** Whether it ended by itself with status 0. */
  readonly isOrderly: boolean;
}

/** One process. */
export interface Program {
  write(frame: Uint8Array): void;
  /** Waits for its next frame, for a limited time. */
  read(): Frame | Ending;
  /** Ends the process at once, whatever it does, and returns when nothing is left of it. */
  kill(): void;
}

/** Starts processes that keep their state files in one directory, which is empty at first. */
export interface Host {
  start(): Program;
}
