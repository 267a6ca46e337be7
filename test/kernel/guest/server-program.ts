import { existsSync, readFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type BootPlan, RECORD_MOUNT, type ServerKind, tracePart } from "./contract.ts";
import { Onlooker } from "./onlooker.ts";
import { type Status, statusOfJson } from "./status.ts";

const RUNTIME_DIRECTORY = "/run/dm-ulog";
/** Its memory is touched when a server starts, which costs this guest 0.2 ms for each page. */
const FLIGHT_RECORDER = ["--flight-recorder", "1M"];

export interface ServerOptions {
  /** 3 s by default. */
  quietTimeMs?: number;
  /** The capabilities that it keeps, such as `CAP_NET_ADMIN`; by default all. */
  capabilities?: string[];
  /** Further words of its command line. */
  words?: string[];
}

/** One of the servers that the lab knows: how to start it and how to ask it. */
export interface ServerProgram {
  /** Program and arguments. It says on a line of its output that it is "serving". */
  command(options: ServerOptions): [program: string, ...args: string[]];
  /** The running server's description of its logs; `greeting` is its first line. */
  status(pid: number, greeting: string): Promise<Status>;
}

/** Asked at its control socket: starting a process for `dm-ulog status --json` costs the guest two seconds. */
class NodeServer implements ServerProgram {
  /** `trace` names the file to record a server to; without it the server is not recorded. */
  constructor(
    private readonly mainPath: string,
    private readonly trace: ((number: number) => string) | undefined,
  ) {}

  command({ quietTimeMs, capabilities, words = [] }: ServerOptions): [string, ...string[]] {
    const options = quietTimeMs === undefined ? [] : ["--quiet-time", String(quietTimeMs)];
    const serve = [
      this.mainPath,
      "serve",
      "--host",
      "node",
      ...FLIGHT_RECORDER,
      ...this.recording(),
      ...options,
      ...words,
    ];
    if (capabilities === undefined) return [process.execPath, ...serve];
    return ["setpriv", "--bounding-set", boundingSet(capabilities), "--no-new-privs", process.execPath, ...serve];
  }

  /** The first name that no server before this one was recorded under, also before a power cut. */
  private recording(): string[] {
    if (this.trace === undefined) return [];
    let number = 1;
    while (existsSync(this.trace(number))) number++;
    return ["--record", this.trace(number)];
  }

  status(): Promise<Status> {
    return askStatus();
  }
}

/** The logs according to the running Node.js server. */
export async function askStatus(): Promise<Status> {
  return statusOfJson(await askControlSocket("/status"));
}

/** What the Node.js server that runs answers on its control socket. */
export async function askControlSocket(path: string): Promise<string> {
  const socketPath = join(RUNTIME_DIRECTORY, "control.sock");
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ socketPath, path }, resolve).on("error", reject);
  });
  const body = await text(response);
  if (response.statusCode === 200) return body;
  throw new Error(`The server does not answer GET ${path}: ${response.statusCode} ${body}`);
}

function boundingSet(capabilities: string[]): string {
  return ["-all", ...capabilities.map((name) => name.replace("CAP_", "+").toLowerCase())].join(",");
}

/** The C appliance has no status command: its linear memory is read from outside and described by the console. */
class Appliance implements ServerProgram {
  #onlooker: Promise<Onlooker> | undefined;

  constructor(
    private readonly repositoryPath: string,
    private readonly appliancePath: string,
  ) {}

  command({ quietTimeMs }: ServerOptions): [string, ...string[]] {
    return [this.appliancePath, RUNTIME_DIRECTORY, ...(quietTimeMs === undefined ? [] : [String(quietTimeMs)])];
  }

  async status(pid: number, greeting: string): Promise<Status> {
    const address = Number(/linear memory at (0x[0-9a-f]+)/.exec(greeting)?.[1]);
    this.#onlooker ??= Onlooker.create(this.repositoryPath);
    return (await this.#onlooker).look(pid, address);
  }
}

/** Its memory is shared with whoever looks on. */
class NativeServer implements ServerProgram {
  constructor(
    private readonly repositoryPath: string,
    private readonly nativePath: string,
  ) {}

  command({ quietTimeMs, words = [] }: ServerOptions): [string, ...string[]] {
    const options = quietTimeMs === undefined ? [] : ["--quiet-time", String(quietTimeMs)];
    return [this.nativePath, "--runtime-dir", RUNTIME_DIRECTORY, ...FLIGHT_RECORDER, ...options, ...words];
  }

  async status(): Promise<Status> {
    const { Onlooker } = (await import(join(this.repositoryPath, "dist/node/control/status.js"))) as {
      Onlooker: new (directory: string, wasm: () => Uint8Array) => { status(): Promise<Status> };
    };
    const wasm = () => readFileSync(join(this.repositoryPath, "dist/dm-ulog.wasm"));
    return new Onlooker(RUNTIME_DIRECTORY, wasm).status();
  }
}

export function serverPrograms(plan: BootPlan, scenario: string): Record<ServerKind, ServerProgram> {
  const { repositoryPath, appliancePath, nativePath, recordFolder } = plan;
  const trace = recordFolder === undefined ? undefined : (number: number) => tracePart(RECORD_MOUNT, scenario, number);
  return {
    node: new NodeServer(join(repositoryPath, "dist/cli/main.js"), trace),
    native: new NativeServer(repositoryPath, nativePath),
    c: new Appliance(repositoryPath, appliancePath),
  };
}
