// The server's other thread: starts the request thread, listens to what it has to say, looks into its memory.

import { createHash, randomUUID } from "node:crypto";
import { MessageChannel, Worker } from "node:worker_threads";
import { Console, type MemorySource } from "../common/console.ts";
import type { EngineOptions } from "../common/engine.ts";
import { type ListenerReport, ListenerWatch, LOOK_INTERVAL_MS } from "./control/listener-watch.ts";
import { ServiceManager } from "./control/service-manager.ts";
import { END } from "./devices/io-jobs.ts";
import type { KeeperOptions } from "./devices/io-keeper.ts";
import { endOf, endsWithin } from "./endings.ts";
import { type Log, levelOf } from "./log-level.ts";
import { FileRecording } from "./recording/file-recording.ts";
import { createFlight } from "./recording/flight-recorder.ts";
import { FLIGHT_BYTES_DEFAULT } from "./recording/flight-sizes.ts";
import {
  type FlightFolders,
  keepFlight,
  keepLastFlight,
  keepLostFlight,
  putFlightAside,
  saveFlight,
} from "./recording/flights.ts";
import type { RecordingOptions } from "./recording/trace-files.ts";
import { Bell } from "./requests/bell.ts";
import { Latencies, type LatencyHistogram } from "./requests/latencies.ts";
import { Mailbox } from "./requests/mailbox.ts";
import { holdersOf, requestSockets } from "./requests/netlink-sockets.ts";
import type { RequestThreadMessage, RequestThreadOptions } from "./requests/request-thread.ts";
import { SocketKeeper } from "./requests/socket-keeper.ts";
import { readSpin, SPIN_US_DEFAULT, type SpinCounters, spinMemory } from "./requests/spin.ts";
import { LiveView, type LiveViewOptions } from "./web/view.ts";

/** What a server is started with. */
export interface ServerOptions {
  /** Bytes of the core. */
  wasm: Uint8Array<ArrayBuffer>;
  /** A sentence for the server's log. */
  log: Log;
  /** The request path has ended by itself, and with it the service. */
  failed: (error: Error) => void;
  /** The netlink port taken for the kernel's; left out, it is the kernel's own. A benchmark plays the kernel with it. */
  kernelPort?: number;
  /** What is to be chosen about disk logs. */
  engineOptions?: EngineOptions;
  /** Where the logs' state outlives this process. Left out, it does not: for benchmarks and tests. */
  runtimeDirectory?: string;
  /**
   * Whether the socket outlives this process, so that the kernel's requests wait in it for the next server: systemd keeps it where it
   * started this process, else a process of 8 MB does, for 10 s. Takes a `runtimeDirectory`. Left out, it does not.
   */
  keepsSocket?: boolean;
  /** Product and version, for traces. */
  application?: string;
  /** A trace of everything, from the first event on. */
  record?: RecordingOptions;
  /** Bytes of the flight recorder, which lies in the runtime directory; 0 for none. */
  flightBytes?: number;
  /** The longest time that the server looks for the next request before it sleeps, where that pays, µs; 0 for never, 50 by default. */
  spinUs?: number;
  /** Where traces of failures are put; left out, a folder of the runtime directory. */
  crashDirectory?: string;
  /** A page that shows what the engine does, for those who look on. It takes a flight recorder. */
  view?: LiveViewOptions;
}

/** How long `stop` waits for threads that are in the middle of something, in ms. */
const STOP_TIMEOUT_MS = 5000;
/** And where mirrors wait for the next server, which waits for this one. */
const LEAVE_TIMEOUT_MS = 500;

/** What a running server consists of. */
interface Parts {
  bell: Bell;
  mailbox: Mailbox;
  /** Resolves when the request thread has ended, however it ends. */
  exited: Promise<unknown>;
  /** Resolves when the threads that wait for devices have ended. */
  keeperEnded: Promise<unknown>;
  recording: FileRecording;
  flights: FlightFolders | undefined;
  socketKeeper: SocketKeeper | undefined;
  waits: Latencies;
  spin: SharedArrayBuffer;
  view: LiveView | undefined;
  log: Log;
}

export class Server implements MemorySource {
  private readonly watch: ListenerWatch;
  private readonly looking: NodeJS.Timeout;

  private constructor(
    /** The control plane of this server; reads through `this`. */
    readonly console: Console,
    /** The netlink port that requests are received on. */
    readonly port: number,
    private readonly parts: Parts,
  ) {
    this.watch = new ListenerWatch({
      ownPort: port,
      readSockets: requestSockets,
      findHolders: holdersOf,
      readLogs: () => console.logs(this),
      log: parts.log,
    });
    this.look();
    this.looking = setInterval(() => this.look(), LOOK_INTERVAL_MS).unref();
  }

  /** Starts to serve. Rejects where the socket cannot be had. */
  static async start(options: ServerOptions): Promise<Server> {
    const console = await Console.create(options.wasm);
    const mailbox = new Mailbox();
    const latencies = new Latencies(console.abi);
    const bell = new Bell();
    const spin = spinMemory();
    const { runtimeDirectory, crashDirectory } = options;
    const flights = runtimeDirectory === undefined ? undefined : { runtimeDirectory, crashDirectory };
    if (flights !== undefined) putFlightAside(flights);
    const flight = makeFlight(options);
    const socketKeeper = makeSocketKeeper(options);
    const facts = {
      application: options.application ?? "dm-ulog",
      coreSha256: createHash("sha256").update(options.wasm).digest("hex"),
      life: randomUUID(),
    };
    const { port1: orders, port2: ordersEnd } = new MessageChannel();
    const recording = new FileRecording(facts, flight, orders, () => bell.ring(), options.log);
    const prepared = options.record === undefined ? undefined : recording.prepare(options.record);
    const { port1: keeperEnd, port2: requestEnd } = new MessageChannel();
    const keeperOptions: KeeperOptions = { bell: bell.shared, runtimeDirectory, port: keeperEnd };
    const keeper = new Worker(new URL("./devices/io-keeper.js", import.meta.url), {
      workerData: keeperOptions,
      transferList: [keeperEnd],
    });
    let failed: (error: Error) => void = options.failed;
    keeper.on("error", (error) => failed(error));
    const keeperEnded = endOf(keeper);
    const requestOptions: RequestThreadOptions = {
      wasm: options.wasm,
      mailbox: mailbox.shared,
      latencies: latencies.shared,
      bell: bell.shared,
      spin,
      spinUs: options.spinUs ?? SPIN_US_DEFAULT,
      engineOptions: options.engineOptions ?? {},
      keeper: requestEnd,
      runtimeDirectory,
      keptSocket: socketKeeper?.take(),
      kernelPort: options.kernelPort ?? 0,
      recorder: {
        facts,
        target: prepared?.target,
        orders: ordersEnd,
        flight,
      },
    };
    const worker = new Worker(new URL("./requests/request-thread.js", import.meta.url), {
      workerData: requestOptions,
      transferList: [requestEnd, ordersEnd, ...(prepared === undefined ? [] : [prepared.target.snapshots])],
    });
    worker.on("error", (error) => failed(error));
    const exited = endOf(worker).then(() => keeper.postMessage(END));
    const listening = new Promise<{ port: number; descriptor: number }>((resolve, reject) => {
      failed = reject;
      worker.on("message", (message: RequestThreadMessage) => {
        tell(message, console, options.log);
        if (message.kind === "listening") resolve(message);
        if (message.kind === "invariant violated") tellOfFlight(flights, options, keepFlight);
      });
    });
    const { port, descriptor } = await listening.catch(async (error) => {
      socketKeeper?.disconnect();
      await recording.finish();
      await endsWithin(keeperEnded, STOP_TIMEOUT_MS);
      throw error;
    });
    socketKeeper?.keep(descriptor);
    let hasFailed = false;
    failed = async (error) => {
      // A thread that fails takes others with it.
      if (hasFailed) return;
      hasFailed = true;
      tellOfFlight(flights, options, keepLastFlight);
      await recording.finish();
      options.failed(error);
    };
    const view = await startView(options, flight);
    const { log } = options;
    const waits = latencies;
    const parts = { bell, mailbox, exited, keeperEnded, recording, flights, socketKeeper, waits, spin, view, log };
    const server = new Server(console, port, parts);
    // A process that exits waits for its threads, and this one waits for the kernel.
    process.on("exit", server.stopNow);
    const lost = flights === undefined ? undefined : keepLostFlight(flights);
    if (lost !== undefined) options.log(lost, "warning");
    await prepared?.launch().catch(async (error) => {
      await server.stop();
      throw error;
    });
    return server;
  }

  /** How long requests waited for their answers, by type. */
  get latencies(): LatencyHistogram[] {
    return this.parts.waits.read();
  }

  /** What looking for requests before sleeping has cost, and how often it paid. */
  get spin(): SpinCounters {
    return readSpin(this.parts.spin);
  }

  /** How often requests were lost to a full receive buffer, as of the last look into memory. */
  get overruns(): number {
    return this.parts.mailbox.overruns;
  }

  /** Who else receives the kernel's requests, as of a few seconds ago. */
  get others(): ListenerReport {
    return this.watch.report;
  }

  /** The file that is recorded to, if one is. */
  get recordedPath(): string | undefined {
    return this.parts.recording.path;
  }

  /** The address of the page that shows what the engine does, if it is served. */
  get viewUrl(): string | undefined {
    return this.parts.view?.url;
  }

  /** Records from the next event on. Rejects with a sentence where it cannot be done. */
  record(recording: RecordingOptions): Promise<void> {
    return this.parts.recording.start(recording);
  }

  /** Resolves with the file when all of it is written, or with undefined where nothing was recorded. */
  stopRecording(): Promise<string | undefined> {
    return this.parts.recording.stop();
  }

  /** Writes what the flight recorder holds to a file. Throws a sentence where that cannot be. */
  saveFlight(path: string): void {
    if (this.parts.flights === undefined)
      throw new Error("A server without a runtime directory has no flight recorder.");
    // An event is recorded after it was answered: what the asker has seen answered is in the file once this has passed.
    // The recorder of a request thread that is stuck is all the more wanted.
    try {
      this.read(0, 1);
    } catch (error) {
      this.parts.log(`${(error as Error).message} The flight recorder is saved as it is.`, "warning");
    }
    saveFlight(this.parts.flights, path);
  }

  /** A copy of the engine's memory. Blocks this thread until the request thread has answered. */
  read(address: number, size: number): Uint8Array {
    return this.parts.mailbox.read(address, size, () => this.parts.bell.ring());
  }

  /**
   * Ends all threads. Requests that were received are answered first. Where there are logs, and something keeps the socket, what comes
   * from then on waits in it for the next server; else the kernel hears that there is none. Resolves with whether all have ended: a thread
   * whose log device hangs does not, and the process cannot end by itself.
   */
  async stop(): Promise<boolean> {
    const leavesSocket = this.parts.socketKeeper?.isKept === true && this.hasLogs();
    this.tellToStop(leavesSocket);
    const viewEnded = this.parts.view?.stop();
    await this.parts.exited;
    if (leavesSocket) this.parts.socketKeeper?.disconnect();
    else this.parts.socketKeeper?.letGo();
    const isRecorded = await this.parts.recording.finish();
    process.off("exit", this.stopNow);
    // One that hangs in a system call is not waited for.
    const ended = Promise.all([this.parts.keeperEnded, viewEnded]);
    return (await endsWithin(ended, leavesSocket ? LEAVE_TIMEOUT_MS : STOP_TIMEOUT_MS)) && isRecorded;
  }

  private hasLogs(): boolean {
    try {
      return this.console.logs(this).length > 0;
    } catch {
      return true; // The request thread is stuck. The next server will know.
    }
  }

  private look(): void {
    try {
      this.watch.look();
    } catch (error) {
      this.parts.log(`Who else receives the kernel's requests cannot be seen: ${(error as Error).message}`, "warning");
    }
  }

  /** The process exits. */
  private readonly stopNow = (): void => this.tellToStop(this.parts.socketKeeper?.isKept === true);

  private tellToStop(leavesSocket: boolean): void {
    clearInterval(this.looking);
    this.parts.mailbox.requestStop(leavesSocket);
    this.parts.bell.ring();
  }
}

/** Returns the file of the flight recorder, or undefined where there is none. */
function makeFlight({ runtimeDirectory, flightBytes = FLIGHT_BYTES_DEFAULT, log }: ServerOptions): string | undefined {
  if (runtimeDirectory === undefined || flightBytes === 0) return undefined;
  try {
    return createFlight(runtimeDirectory, flightBytes);
  } catch (error) {
    log(`There is no flight recorder, since its file cannot be made: ${(error as Error).message}.`, "warning");
    return undefined;
  }
}

function makeSocketKeeper({ runtimeDirectory, keepsSocket = false, log }: ServerOptions): SocketKeeper | undefined {
  if (runtimeDirectory === undefined || !keepsSocket) return undefined;
  const { env: environment } = process;
  return new SocketKeeper({ runtimeDirectory, manager: ServiceManager.find(environment), environment, log });
}

/** Who cannot look on is told; the kernel is served all the same. */
async function startView({ view, log }: ServerOptions, flight: string | undefined): Promise<LiveView | undefined> {
  if (view === undefined) return undefined;
  try {
    if (flight === undefined) throw new Error("It shows what the flight recorder has, and there is none.");
    return await LiveView.start(view, flight, log);
  } catch (error) {
    log(`There is no view. ${(error as Error).message}`, "warning");
    return undefined;
  }
}

/** The server has failed, or what it knows is wrong. */
function tellOfFlight(flights: FlightFolders | undefined, { log }: ServerOptions, keep: typeof keepFlight): void {
  const sentence = flights === undefined ? undefined : keep(flights);
  if (sentence !== undefined) log(sentence, "error");
}

/** Puts what the request thread says into the log. */
function tell(message: RequestThreadMessage, console: Console, log: Log): void {
  switch (message.kind) {
    case "listening":
      break;
    case "notice":
      log(console.describeNotice(message.payload), levelOf(console.priorityOfNotice(message.payload)));
      break;
    case "send failed":
      log(`A reply could not be sent: errno ${message.errno}.`, "warning");
      break;
    case "state not kept":
      log(
        `A log's state could not be kept (handle ${message.handle}, errno ${-message.errno}): if this server is started ` +
          "again while that log is in use, its mirror is resynced.",
        "error",
      );
      break;
    case "state not removed":
      log(
        `The state file of a log that has ended could not be removed (state/${message.handle} in the runtime directory, ` +
          `errno ${-message.errno}). It was emptied, so that no server goes on with it. Remove it by hand.`,
        "warning",
      );
      break;
    case "told":
      log(message.sentence, message.level);
      break;
    case "invariant violated":
      log(
        `Invariant ${message.violation.invariant} of the engine does not hold before event ${message.violation.event}. ` +
          "The server goes on, but what it says of its logs cannot be relied on.",
        "error",
      );
  }
}
