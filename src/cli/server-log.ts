// The server's log: sentences for a person, with priorities for systemd's journal, or as JSON for a program.

import { fstatSync } from "node:fs";
import { LOG_LEVELS, type LogLevel } from "../node/log-level.ts";

export type LogFormat = "plain" | "journal" | "json";

/** `journal` if systemd has connected standard output to its journal. The variable alone is not enough: children inherit it. */
export function logFormatOf({ JOURNAL_STREAM }: NodeJS.ProcessEnv, output = fstatSync(1)): LogFormat {
  return JOURNAL_STREAM === `${output.dev}:${output.ino}` ? "journal" : "plain";
}

/** Where lines go. */
export interface LogStreams {
  log: (line: string) => void;
  error: (line: string) => void;
}

export class ServerLog {
  constructor(
    private readonly format: LogFormat,
    private readonly streams: LogStreams = console,
  ) {}

  info(sentence: string): void {
    this.write(sentence, "info");
  }

  warning(sentence: string): void {
    this.write(sentence, "warning");
  }

  error(sentence: string): void {
    this.write(sentence, "error");
  }

  write(sentence: string, level: LogLevel): void {
    const { log, error } = this.streams;
    if (this.format === "json") {
      log(JSON.stringify({ time: new Date().toISOString(), level, message: sentence }));
    } else if (this.format === "journal") {
      // The journal makes each line a message of its own.
      for (const line of sentence.split("\n")) log(`<${LOG_LEVELS[level]}>${line}`);
    } else if (level === "info") log(sentence);
    else error(`dm-ulog: ${sentence}`);
  }
}
