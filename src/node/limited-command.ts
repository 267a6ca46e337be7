// Runs a program that may hang, in a device or in the kernel, where even SIGKILL does not end it: it is left behind then.

import { spawn } from "node:child_process";

/** More output than this is cut off. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * What a program prints, on standard output and standard error together, whatever its exit status. Rejects with a sentence where it is not
 * there or takes too long.
 */
export function outputOf(program: string, words: readonly string[], limitMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], cwd: "/" });
    const parts: Buffer[] = [];
    let bytes = 0;
    const leave = () => {
      clearTimeout(timer);
      child.removeAllListeners();
      child.on("error", () => {});
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
    };
    const timer = setTimeout(() => {
      leave();
      reject(new Error(`${program} has not ended within ${limitMs / 1000} s.`));
    }, limitMs);
    const take = (part: Buffer) => {
      bytes += part.length;
      parts.push(part);
      if (bytes < OUTPUT_BYTES_MAX) return;
      leave();
      resolve(`${Buffer.concat(parts).toString("utf8", 0, OUTPUT_BYTES_MAX)}\nThe rest is cut off.\n`);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", (error: NodeJS.ErrnoException) => {
      leave();
      reject(
        new Error(
          error.code === "ENOENT" ? `There is no ${program} here.` : `${program} cannot be run: ${error.message}.`,
        ),
      );
    });
    child.on("close", () => {
      clearTimeout(timer);
      resolve(Buffer.concat(parts).toString("utf8"));
    });
  });
}
