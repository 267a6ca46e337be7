// The server's log: sentences for a person, with priorities for systemd's journal, or as JSON for a program.

import { fstatSync } from "node:fs";

export type LogFormat = "plain" | "journal" | "json";

/** The levels by their number in syslog. */
const PRIORITIES = { error: 3, warning: 4, info: 6 } as const;
type Level = keyof typeof PRIORITIES;

/** `journal` where systemd has connected standard output with its journal; the variable alone is inherited by others. */
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
    this.write("info", sentence);
  }

  warning(sentence: string): void {
    this.write("warning", sentence);
  }

  error(sentence: string): void {
    this.write("error", sentence);
  }

  private write(level: Level, sentence: string): void {
    const { log, error } = this.streams;
    if (this.format === "json") {
      log(JSON.stringify({ time: new Date().toISOString(), level, message: sentence }));
    } else if (this.format === "journal") {
      // Each line is a message of its own there.
      for (const line of sentence.split("\n")) log(`<${PRIORITIES[level]}>${line}`);
    } else if (level === "info") log(sentence);
    else error(`dm-ulog: ${sentence}`);
  }
}
