// The processes of the round trip: two servers and a client. Each is started, addressed and ended by its own pid.

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ServerOptions } from "../src/node/server.ts";
import { buildAppliance, missingForAppliance } from "../test/embedding/c/build.ts";
import { buildNative } from "../test/native/build.ts";
import type { BenchmarkResult } from "./benchmark.ts";
import type { Exchange } from "./conversation.ts";

const CLIENT_NOT_PERMITTED = 2;
const C_FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra"];
/** Far from process ids, which netlink assigns as ports to sockets that ask for none. */
const CLIENT_PORT_BASE = 0x4000_0000;

/** dm-ulog's optional dependencies that its server needs. */
const NATIVE_PACKAGES = ["koffi", "node-netlink"];

/** Not a failure: this machine lacks what the benchmark needs, and the message says what. */
export class Lacking extends Error {}

export interface RoundTrips {
  medianNs: number;
  meanNs: number;
  p99Ns: number;
  maxNs: number;
}

export interface EchoServer {
  port: number;
}

export interface UlogServer extends EchoServer {
  /** Keeps the process' main thread busy most of the time, or leaves it idle again. */
  setBusy(busy: boolean): Promise<void>;
  /** Where its view is, if it has one. */
  viewUrl: string | undefined;
}

export interface Onlookers {
  /** Connects this many viewers and disconnects all others. Resolves with the bytes that the earlier viewers have taken. */
  be(idle: number, stuck: number): Promise<number>;
}

/** Gives `measure` a workshop, and closes it afterwards. On a machine that lacks something it prints a sentence and no figures. */
export async function inWorkshop(measure: (workshop: Workshop) => Promise<BenchmarkResult>): Promise<BenchmarkResult> {
  const workshop = new Workshop();
  try {
    workshop.checkUlog();
    workshop.compile();
    return await measure(workshop);
  } catch (error) {
    if (!(error instanceof Lacking)) throw error;
    console.log(`Skipped: ${error.message}.`);
    return { missed: 0, figures: { skipped: error.message } };
  } finally {
    await workshop.close();
  }
}

/** Makes a folder for runtime directories, in memory as /run is. */
export function makeMemoryFolder(): string {
  return mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "dm-ulog-bench-"));
}

/** The first that a program says. Rejects with `name` where it ends without a word. */
async function firstWords(child: ChildProcess, name: string): Promise<string> {
  const [words] = (await Promise.race([
    once(child.stdout as NodeJS.ReadableStream, "data"),
    once(child, "close").then(() => Promise.reject(new Error(`${name} has ended by itself.`))),
  ])) as [Buffer];
  return words.toString();
}

/** A folder with the compiled programs, and every process started from it. */
export class Workshop {
  readonly clientPort = CLIENT_PORT_BASE + process.pid;
  private readonly folder = mkdtempSync(join(tmpdir(), "dm-ulog-bench-"));
  private readonly memoryFolder = makeMemoryFolder();
  private readonly children: ChildProcess[] = [];

  constructor() {
    process.on("exit", this.removeFolders);
    process.on("SIGINT", this.interrupted);
  }

  /** Throws where dm-ulog's server cannot run here, or is not built. */
  checkUlog(): void {
    if (process.platform !== "linux") throw new Lacking(`netlink is Linux's, and this is ${process.platform}`);
    const { resolve } = createRequire(import.meta.url);
    for (const name of NATIVE_PACKAGES) {
      try {
        resolve(name);
      } catch {
        throw new Lacking(`the optional package ${name} is not installed`);
      }
    }
    if (!existsSync(new URL("../dist/node/server.js", import.meta.url))) {
      throw new Error("dm-ulog's server is not built. Type: npm run build");
    }
  }

  /** Compiles the programs. Throws `Lacking` where there is no compiler. */
  compile(): void {
    for (const name of ["echo", "client"]) {
      const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
      try {
        execFileSync("cc", [...C_FLAGS, "-o", this.path(name), source], { stdio: ["ignore", "ignore", "pipe"] });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new Lacking("there is no C compiler (cc)");
        throw error;
      }
    }
  }

  /** Starts the echo server, on one processor where one is named. */
  async startEcho(processor?: number, spinUs = 0): Promise<EchoServer> {
    const child = this.start([this.path("echo"), String(spinUs)], processor, ["ignore", "pipe", "pipe"]);
    const errors: Buffer[] = [];
    child.stderr?.on("data", (bytes: Buffer) => errors.push(bytes));
    const [line] = (await Promise.race([
      once(child.stdout as NodeJS.ReadableStream, "data"),
      once(child, "close").then(() => Promise.reject(new Lacking(Buffer.concat(errors).toString().trim()))),
    ])) as [Buffer];
    return { port: Number(line.toString()) };
  }

  /** Builds the C appliance around a core. Returns the program; throws `Lacking` where that needs more than is installed. */
  buildAppliance(corePath: string): string {
    const missing = missingForAppliance();
    if (missing !== undefined) throw new Lacking(missing);
    return buildAppliance(this.path("appliance"), corePath);
  }

  /** Starts the C appliance, on one processor where one is named. */
  async startAppliance(program: string, processor?: number): Promise<EchoServer> {
    const runtime = this.path(`runtime-${this.children.length}`);
    const command = [program, runtime, "0", String(this.clientPort)];
    const child = this.start(command, processor, ["ignore", "pipe", "ignore"]);
    const said = await firstWords(child, "The C appliance");
    return { port: Number(/netlink port (\d+)/.exec(said)?.[1]) };
  }

  /** Builds the native host around a core. Returns the program; throws `Lacking` where that needs more than is installed. */
  buildNative(corePath: string): string {
    const missing = missingForAppliance();
    if (missing !== undefined) throw new Lacking(missing);
    return buildNative(this.path("native"), corePath);
  }

  /** Starts the native host, on one processor where one is named. `cpuSeconds` is the processor time that it has taken. */
  async startNative(
    program: string,
    processor?: number,
  ): Promise<EchoServer & { cpuSeconds: () => number; runtime: string }> {
    const runtime = this.makeRuntimeDirectory(`native-${this.children.length}`);
    const words = ["--runtime-dir", runtime, "--kernel-port", String(this.clientPort), "--no-keeper"];
    const child = this.start([program, ...words], processor, ["ignore", "pipe", "ignore"]);
    const said = await firstWords(child, "The native host");
    const cpuSeconds = () => {
      const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) / 100;
    };
    return { port: Number(/netlink port (\d+)/.exec(said)?.[1]), cpuSeconds, runtime };
  }

  /** Starts a command of dm-ulog that looks on, and resolves with the first that it says. `end` lets it finish what it does. */
  async startCommand(...words: string[]): Promise<{ said: string; end: () => Promise<void> }> {
    const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
    const child = this.start([process.execPath, program, ...words], undefined, ["ignore", "pipe", "inherit"]);
    const closed = once(child, "close");
    const said = await firstWords(child, `dm-ulog ${words[0]}`);
    const end = async () => {
      child.kill();
      const [status] = await closed;
      if (status !== 0) throw new Error(`dm-ulog ${words[0]} has ended with ${status}.`);
    };
    return { said, end };
  }

  /** The same, and resolves with the address that it says. */
  async startOnlooker(...words: string[]): Promise<URL> {
    const { said } = await this.startCommand(...words);
    return new URL(/http:\S+/.exec(said)?.[0] ?? "");
  }

  /** Starts a crowd that torments these addresses as long as the benchmark runs. */
  async startCrowd(size: number, urls: readonly URL[]): Promise<() => void> {
    const program = fileURLToPath(new URL("crowd.ts", import.meta.url));
    const words = [process.execPath, "--import", "tsx", program, String(size), ...urls.map(String)];
    const child = this.start(words, undefined, ["ignore", "pipe", "inherit"]);
    await once(child.stdout as NodeJS.ReadableStream, "data");
    return () => child.kill();
  }

  /** Starts dm-ulog's server, all threads on one processor where one is named. `more` is what else it is told. */
  async startUlog(
    corePath: string,
    processor?: number,
    more: Pick<ServerOptions, "runtimeDirectory" | "flightBytes" | "record" | "view"> = {},
  ): Promise<UlogServer> {
    const program = fileURLToPath(new URL("round-trip-server.ts", import.meta.url));
    const command = [
      process.execPath,
      "--import",
      "tsx",
      program,
      corePath,
      String(this.clientPort),
      JSON.stringify(more),
    ];
    const child = this.start(command, processor, ["ignore", "inherit", "inherit", "ipc"]);
    const ended = once(child, "close").then(() => Promise.reject(new Error("dm-ulog's server has ended by itself.")));
    ended.catch(() => {}); // It also ends when all is measured and nobody waits for an answer any more.
    const answer = async () => {
      const [message] = (await Promise.race([once(child, "message"), ended])) as [{ port: number; viewUrl?: string }];
      return message;
    };
    const { port, viewUrl } = await answer();
    return {
      port,
      viewUrl,
      async setBusy(busy) {
        const answered = answer();
        child.send({ busy });
        await answered;
      },
    };
  }

  /** Makes a runtime directory for a server. */
  makeRuntimeDirectory(name: string): string {
    const directory = join(this.memoryFolder, name);
    mkdirSync(directory);
    return directory;
  }

  /** Starts the process of those who look on at the view of a server. */
  async startOnlookers(viewUrl: string): Promise<Onlookers> {
    const program = fileURLToPath(new URL("onlookers.ts", import.meta.url));
    const command = [process.execPath, "--import", "tsx", program, viewUrl];
    const child = this.start(command, undefined, ["ignore", "inherit", "inherit", "ipc"]);
    const ended = once(child, "close").then(() => Promise.reject(new Error("Those who look on have ended.")));
    ended.catch(() => {}); // They also end when all is measured.
    const answer = async () => {
      const [message] = (await Promise.race([once(child, "message"), ended])) as [{ takenBytes: number }];
      return message.takenBytes;
    };
    await answer();
    return {
      be(idle, stuck) {
        const answered = answer();
        child.send({ idle, stuck });
        return answered;
      },
    };
  }

  /** Writes what the client is to send and to expect. Returns the facts that `measure` needs. */
  prepare(name: string, exchanges: readonly Exchange[]): string {
    writeFileSync(this.path(`${name}.requests`), concatenated(exchanges.map(({ request }) => request)));
    writeFileSync(this.path(`${name}.replies`), concatenated(exchanges.map(({ reply }) => reply)));
    return name;
  }

  /** Runs the client. Throws `Lacking` where the kernel forbids it. */
  async measure(
    server: EchoServer,
    prepared: string,
    { warmUp, count }: { warmUp: number; count: number },
    processor?: number,
  ): Promise<RoundTrips> {
    const ports = [String(this.clientPort), String(server.port)];
    const files = [this.path(`${prepared}.requests`), this.path(`${prepared}.replies`)];
    const command = [this.path("client"), ...ports, String(warmUp), String(count), ...files];
    const [program, ...args] = pinned(command, processor) as [string, ...string[]];
    try {
      const { stdout } = await promisify(execFile)(program, args);
      return JSON.parse(stdout) as RoundTrips;
    } catch (error) {
      const { code, stderr } = error as { code?: unknown; stderr?: string };
      if (code === CLIENT_NOT_PERMITTED) throw new Lacking(`CAP_NET_ADMIN is missing (${stderr?.trim()})`);
      throw new Error(`The client failed: ${stderr?.trim() || error}`);
    }
  }

  /** Ends every process and removes the folder. */
  async close(): Promise<void> {
    for (const child of this.children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const closed = once(child, "exit");
      child.kill("SIGKILL");
      await closed;
    }
    this.removeFolders();
    process.off("exit", this.removeFolders);
    process.off("SIGINT", this.interrupted);
  }

  private readonly removeFolders = () => {
    for (const folder of [this.folder, this.memoryFolder]) rmSync(folder, { recursive: true, force: true });
  };
  /** The children end by themselves when their parent does. */
  private readonly interrupted = () => process.exit(130);

  private start(command: string[], processor: number | undefined, stdio: ("ignore" | "pipe" | "inherit" | "ipc")[]) {
    const [program, ...args] = pinned(command, processor) as [string, ...string[]];
    const child = spawn(program, args, { stdio });
    this.children.push(child);
    return child;
  }

  /** A folder within this one, or a file. */
  path(name: string): string {
    return join(this.folder, name);
  }
}

/** taskset runs the program in its own place, so the process that was started is the program itself. */
function pinned(command: string[], processor: number | undefined): string[] {
  return processor === undefined ? command : ["taskset", "-c", String(processor), ...command];
}

function concatenated(datagrams: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    datagrams.flatMap((datagram) => [new Uint8Array(Uint32Array.of(datagram.length).buffer), datagram]),
  );
}
