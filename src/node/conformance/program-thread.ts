// The thread that has a host's programs as its children. The kit itself runs on a thread that waits for each frame, as a machine
// waits for nobody else; this one moves bytes between the two.

import { type ChildProcess, spawn } from "node:child_process";
import { parentPort } from "node:worker_threads";
import type { FromProgram, StartProgram, ToProgram } from "./child-program.ts";

/** The last words of a program on standard error. */
const LAST_WORDS_MAX = 400;
/** How far the end of a program and that of its standard output may be apart: others may have the pipe too. */
const ENDS_APART_MS = 500;

parentPort?.on("message", ({ port, signal, command, words }: StartProgram) => {
  // A group of its own, so that a program which is started by a script is ended too.
  const started = spawn(command, words, { stdio: "pipe", detached: true });
  let lastWords = "";
  let isOver = false;
  const post = (message: FromProgram) => {
    port.postMessage(message);
    Atomics.add(signal, 0, 1);
    Atomics.notify(signal, 0);
  };
  const over = (words: string, isOrderly: boolean) => {
    if (isOver) return;
    isOver = true;
    kill(started);
    const said = lastWords.trim().slice(-LAST_WORDS_MAX);
    post({ what: "ended", words: said === "" ? words : `${words}; its last words: “${said}”`, isOrderly });
  };
  // A write to a program that has ended.
  started.stdin?.on("error", () => {});
  started.stdout?.on("data", (bytes: Buffer) => post({ what: "data", bytes: new Uint8Array(bytes) }));
  started.stderr?.setEncoding("utf8").on("data", (text: string) => {
    lastWords = (lastWords + text).slice(-2 * LAST_WORDS_MAX);
  });
  started.on("error", (error: NodeJS.ErrnoException) => {
    const why: Record<string, string> = { ENOENT: "there is no such program", EACCES: "it is not executable" };
    over(`cannot be started: ${why[error.code ?? ""] ?? error.message}`, false);
  });
  const ending = (status: number | null, by: string | null) => {
    over(status === null ? `was ended by ${by}` : `has ended with status ${status}`, status === 0);
  };
  started.on("close", ending);
  started.on("exit", (status, by) => setTimeout(ending, ENDS_APART_MS, status, by).unref());
  started.stdout?.on("end", () => {
    setTimeout(over, ENDS_APART_MS, "has closed its standard output", false).unref();
  });
  port.on("message", (message: ToProgram) => {
    if (message.what === "write") started.stdin?.write(message.bytes);
    else kill(started);
  });
});

function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing is left of it.
  }
}
