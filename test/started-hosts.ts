// Servers of both hosts as processes of their own, for a kernel that a test plays: to be killed, and followed by others.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { buildNative } from "./native/build.ts";

const dist = (path: string): string => new URL(`../dist/${path}`, import.meta.url).href;
const LIMIT_MS = 10_000;

export interface StartedHost {
  child: ChildProcess;
  port: number;
  said: () => string;
}

export class StartedHosts {
  private readonly children = new Set<ChildProcess>();

  /** `folder` takes a file; `kernelPort` is what servers take for the kernel's. */
  constructor(
    private readonly folder: string,
    private readonly kernelPort: number,
  ) {}

  /** A process of the host in Node.js. */
  inNode(runtimeDirectory: string): Promise<StartedHost> {
    const options = { kernelPort: this.kernelPort, runtimeDirectory, keepsSocket: true, flightBytes: 0 };
    const program = `
      import { readFileSync } from "node:fs";
      import { Server } from ${JSON.stringify(dist("node/server.js"))};
      const wasm = readFileSync(new URL(${JSON.stringify(dist("dm-ulog.wasm"))}));
      const server = await Server.start({ wasm, ...${JSON.stringify(options)}, log: console.log, failed: (e) => { throw e; } });
      process.on("SIGTERM", async () => { await server.stop(); process.exit(0); });
      setInterval(() => {}, 1000);
      console.log("netlink port " + server.port);`;
    // A file, since threads take over how a program was given.
    const path = join(this.folder, "server.mjs");
    writeFileSync(path, program);
    return this.start(process.execPath, [path]);
  }

  /** The native host, which is built if need be. */
  natively(runtimeDirectory: string, ...more: string[]): Promise<StartedHost> {
    const words = ["--runtime-dir", runtimeDirectory, "--kernel-port", String(this.kernelPort)];
    return this.start(buildNative(), [...words, "--flight-recorder", "0", ...more]);
  }

  async end({ child }: StartedHost, signal: NodeJS.Signals): Promise<void> {
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
    this.children.delete(child);
  }

  /** Those that a failed test has left. */
  killAll(): void {
    for (const child of this.children) child.kill("SIGKILL");
  }

  private async start(program: string, words: string[]): Promise<StartedHost> {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
    this.children.add(child);
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text) => (said += text));
    for (const limit = Date.now() + LIMIT_MS; !/netlink port \d+/.test(said); await sleep(5)) {
      if (child.exitCode !== null || Date.now() > limit) throw new Error(`It does not serve: ${said}`);
    }
    return { child, port: Number(/netlink port (\d+)/.exec(said)?.[1]), said: () => said };
  }
}
