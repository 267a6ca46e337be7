import { spawn } from "node:child_process";
import { say } from "./say.ts";

const COMMAND_TIME_LIMIT_MS = 30_000;

export interface CommandResult {
  command: string;
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program until it ends, successfully or not. Asynchronous, so that writers continue in the meantime. */
export function tryCommand(
  program: string,
  args: string[],
  timeLimitMs = COMMAND_TIME_LIMIT_MS,
): Promise<CommandResult> {
  const command = [program, ...args].join(" ");
  say(`$ ${command}`);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeLimitMs,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (exitCode) => {
      if (exitCode !== 0) say(`ended with ${exitCode}: ${stderr.trim()}`);
      resolve({ command, exitCode, stdout, stderr });
    });
  });
}

/** Runs a program that must succeed and returns what it printed. */
export async function runCommand(program: string, args: string[], timeLimitMs?: number): Promise<string> {
  const result = await tryCommand(program, args, timeLimitMs);
  if (result.exitCode !== 0) {
    throw new Error(`"${result.command}" ended with ${result.exitCode}: ${result.stderr.trim() || "(silent)"}`);
  }
  return result.stdout;
}
