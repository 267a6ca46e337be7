// The thread of the request path: puts together what request-loop.ts works with. The loop does nothing else, so that status,
// metrics or a slow terminal never delay an answer to the kernel: log devices and legs have threads of their own, which ring the
// bell, and state files are memory.

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { type EffectHandler, Engine, type EngineOptions } from "../../common/engine.ts";
import { logUuids, readTables } from "../devices/device-mapper.ts";
import type { KeeperReport, KeeperRequest } from "../devices/io-jobs.ts";
import { type Deliver, LogDevices } from "../devices/log-devices.ts";
import type { LogLevel } from "../log-level.ts";
import { mapFlight } from "../recording/flight-recorder.ts";
import {
  type LifeFacts,
  Recorder,
  type RecorderOrder,
  type RecordingTarget,
  type Violation,
} from "../recording/recorder.ts";
import { setAsideDirectory, stateDirectory } from "../state/runtime-paths.ts";
import { StateFiles } from "../state/state-files.ts";
import { involuntarySwitches, negativeErrno } from "../system-calls.ts";
import { Bell } from "./bell.ts";
import { ConnectorSocket } from "./connector-socket.ts";
import { ForgottenLogs, type KnownLog, logsOf, unnamed } from "./forgotten-logs.ts";
import { Latencies } from "./latencies.ts";
import { Mailbox } from "./mailbox.ts";
import { netlinkAddress, sendDatagram } from "./netlink-datagrams.ts";
import { RequestLoop } from "./request-loop.ts";
import { RequestRecall } from "./request-recall.ts";
import { Restore } from "./restore.ts";
import { Spin } from "./spin.ts";
import { WakeUp } from "./wake-up.ts";

export interface RequestThreadOptions {
  /** Bytes of the core. */
  wasm: Uint8Array<ArrayBuffer>;
  mailbox: SharedArrayBuffer;
  latencies: SharedArrayBuffer;
  bell: SharedArrayBuffer;
  /** Counters of the spin (spin.ts), and the longest time that the loop looks for a request before it sleeps, µs. */
  spin: SharedArrayBuffer;
  spinUs: number;
  /** To io-keeper.ts. */
  keeper: MessagePort;
  engineOptions: EngineOptions;
  /** Where state files are; undefined to keep none. */
  runtimeDirectory: string | undefined;
  /** The socket of an earlier server, to go on with. */
  keptSocket: number | undefined;
  /** The port taken for the kernel's: 0, but for a benchmark that plays the kernel from a port of its own. */
  kernelPort: number;
  recorder: RecorderOptions;
}

export interface RecorderOptions {
  facts: LifeFacts;
  /** The recording that begins with the engine. */
  target: RecordingTarget | undefined;
  /** Brings RecorderOrders, each with a ring of the bell. */
  orders: MessagePort;
  /** The file of the flight recorder. */
  flight: string | undefined;
}

/** What the thread tells the one that started it. */
export type RequestThreadMessage =
  | { kind: "listening"; port: number; descriptor: number }
  | { kind: "notice"; payload: Uint8Array }
  | { kind: "send failed"; errno: number }
  /** `errno` is negative, as are those of every effect. */
  | { kind: "state not kept"; handle: number; errno: number }
  | { kind: "state not removed"; handle: number; errno: number }
  /** A sentence for the server's log. */
  | { kind: "told"; sentence: string; level: LogLevel }
  | { kind: "invariant violated"; violation: Violation };

const NS_PER_MS = 1e6;
/** More than a message of the connector can have. */
const ANSWER_BYTES_MAX = 16_384;

/** Notices of one input that are told. A constructor that fails makes two or three. */
const NOTICES_MAX = 64;

/** Nanoseconds since this thread began: a time of one process means nothing in the next. */
function nowNs(): number {
  return Math.round(performance.now() * NS_PER_MS);
}

/** UUIDs of the userspace logs in the kernel's tables. Undefined if the tables cannot be read: then nothing is given up. */
function namedLogs(): Set<string> | undefined {
  try {
    return new Set(logUuids(readTables()));
  } catch {
    return undefined;
  }
}

function openStates(runtimeDirectory: string, handleCount: number, tell: (sentence: string) => void): StateFiles {
  const asideFolder = setAsideDirectory(runtimeDirectory);
  return StateFiles.open(stateDirectory(runtimeDirectory), { handleCount, asideFolder, tell });
}

function startRecorder(
  engine: Engine,
  { facts, target, flight }: RecorderOptions,
  post: (message: RequestThreadMessage) => void,
): Recorder {
  const clockUnixNs = BigInt(Date.now()) * BigInt(NS_PER_MS) - BigInt(nowNs());
  const memory = flight === undefined ? undefined : mapFlight(flight);
  const tell = (violation: Violation) => post({ kind: "invariant violated", violation });
  const recorder = new Recorder(engine, facts, clockUnixNs, memory, tell);
  if (target !== undefined) recorder.start(target);
  return recorder;
}

function serve(options: RequestThreadOptions, post: (message: RequestThreadMessage) => void): void {
  const engine = new Engine(new WebAssembly.Module(options.wasm));
  const { abi } = engine;
  const mailbox = new Mailbox(options.mailbox);
  const latencies = new Latencies(abi, options.latencies);
  const bell = new Bell(options.bell);
  // Before anything else: from now on the kernel's requests queue up instead of finding nobody.
  const { keptSocket } = options;
  const socket = new ConnectorSocket(abi.CN_IDX_DM, keptSocket === undefined ? {} : { kept: keptSocket });
  const kernel = netlinkAddress(options.kernelPort);
  const wakeUp = new WakeUp((timeoutUs) => socket.setTimeout(timeoutUs));
  const { runtimeDirectory } = options;
  const warn = (sentence: string): void => post({ kind: "told", sentence, level: "warning" });
  const states = runtimeDirectory === undefined ? undefined : openStates(runtimeDirectory, abi.HANDLE_COUNT, warn);
  const recall = RequestRecall.open(
    (datagram) => sendDatagram(socket.fd, datagram, kernel),
    runtimeDirectory === undefined ? undefined : stateDirectory(runtimeDirectory),
  );
  const askKeeper = (request: KeeperRequest): void => options.keeper.postMessage(request);
  const devices = new LogDevices(
    abi,
    () => engine.bytes(),
    ({ shared }) => askKeeper({ kind: "device", channel: shared }),
  );

  const outbox = new Uint8Array(ANSWER_BYTES_MAX);
  const notices: Uint8Array[] = [];
  let lostNotices = 0;
  const handler: EffectHandler = {
    send(address, size) {
      const bytes = engine.bytes();
      // Copied byte by byte: a view of it would be an object for each answer.
      for (let i = 0; i < size; i++) outbox[i] = bytes[address + i] as number;
      const error = sendDatagram(socket.fd, outbox, kernel, size);
      const seq = engine.replySeq(address);
      recall.answered(seq);
      latencies.answered(seq, engine.replyType(address), nowNs());
      if (error !== 0) post({ kind: "send failed", errno: error });
    },
    // However many come at once, memory holds a few: the log of the server shows no more in a second either.
    notice: (address, size) => {
      if (notices.length < NOTICES_MAX) notices.push(engine.read(address, size));
      else lostNotices++;
    },
    open: (head, path) => devices.open(head, path),
    read: (head) => devices.read(head),
    write: (head, address) => devices.write(head, address),
    close: (head) => devices.close(head),
    flushLegs: (head, _luid, uuid) => askKeeper({ kind: "flush legs", head, uuid }),
    wake: (atNs) => wakeUp.wish(atNs, nowNs()),
    stateCreate({ handle, offsetBytes }) {
      try {
        states?.create(handle, offsetBytes);
      } catch (error) {
        post({ kind: "state not kept", handle, errno: negativeErrno(error) });
      }
    },
    stateWrite({ handle, offsetBytes, sizeBytes }, address) {
      try {
        states?.write(handle, offsetBytes, engine.bytes(), address, sizeBytes);
      } catch (error) {
        post({ kind: "state not kept", handle, errno: negativeErrno(error) });
      }
    },
    stateDelete({ handle }) {
      try {
        states?.delete(handle);
      } catch (error) {
        post({ kind: "state not removed", handle, errno: negativeErrno(error) });
      }
      // A log ends with its state file.
      askKeeper({ kind: "forget", handle });
    },
  };
  const deliver: Deliver = (head, completion) => engine.completed(head, completion, nowNs(), handler);
  const forgotten = new ForgottenLogs();
  const giveUp = (logs: readonly KnownLog[]): void => {
    for (const { handle, luid, uuid } of logs) engine.forget(handle, luid, uuid, nowNs(), handler);
  };
  const deliverDone = (): void => {
    devices.collect(deliver);
    for (let got = receiveMessageOnPort(options.keeper); got; got = receiveMessageOnPort(options.keeper)) {
      const report = got.message as KeeperReport;
      if (report.kind === "tables read") {
        giveUp(forgotten.look(logsOf(engine), new Set(report.uuids), performance.now()));
      } else deliver(report.head, { effect: abi.EFFECT_KIND_FLUSH_LEGS, error: report.error });
    }
  };
  // A person reads notices: they leave when the kernel has its answer.
  const tellNotices = (): void => {
    while (notices.length > 0) post({ kind: "notice", payload: notices.shift() as Uint8Array });
    if (lostNotices > 0) warn(`${lostNotices} more messages came at once, and are lost.`);
    lostNotices = 0;
  };

  const recorder = startRecorder(engine, options.recorder, post);
  const takeOrders = (): void => {
    const { orders } = options.recorder;
    for (let got = receiveMessageOnPort(orders); got; got = receiveMessageOnPort(orders)) {
      recorder.obey(got.message as RecorderOrder);
    }
  };

  engine.configure(options.engineOptions, nowNs(), handler);
  const restore = new Restore(states, engine, handler, nowNs);
  // No device has been opened yet: completions are given in the loop below.
  const named = namedLogs();
  if (named !== undefined) giveUp(unnamed(logsOf(engine), named));
  bell.hang(socket.fd, socket.port);
  post({ kind: "listening", port: socket.port, descriptor: socket.fd });
  tellNotices();
  if (socket.bufferWarning !== undefined) warn(socket.bufferWarning);
  recall.askForUnanswered();

  const moment = new Int32Array(new SharedArrayBuffer(4));
  const loop = new RequestLoop({
    ...{
      engine,
      handler,
      socket,
      kernelPort: options.kernelPort,
      nowNs,
      wakeUp,
      recall,
      latencies,
      devices,
      deliverDone,
      restore,
      warn,
    },
    spin: new Spin(options.spinUs, options.spin, involuntarySwitches),
    rung(memory) {
      bell.taken();
      mailbox.answer(memory, socket.overruns);
      deliverDone();
      takeOrders();
      return mailbox.stopRequested();
    },
    leavesSocket: () => mailbox.leavesSocket(),
    pause: () => Atomics.wait(moment, 0, 0, 1),
    settle() {
      recorder.settle();
      tellNotices();
    },
  });
  loop.run();
  recorder.close();
  options.recorder.orders.close();
  states?.close();
  recall.close();
  socket.close();
  options.keeper.close();
}

const port = parentPort;
if (port === null) throw new Error("request-thread is started by server.ts, as a worker thread.");
serve(workerData as RequestThreadOptions, (message) => port.postMessage(message));
