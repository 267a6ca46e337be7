// The request path: socket, core, socket. A thread of its own whose loop does nothing else, so that status, metrics or
// a slow terminal never delay an answer to the kernel.
//
// The bell: a datagram from the socket's own port, which only this process can send. It wakes the loop for whatever
// the other threads want, without a second descriptor to wait for.

import { parentPort, workerData } from "node:worker_threads";
import { type EffectHandler, Engine } from "../common/engine.ts";
import { ConnectorSocket, netlinkAddress, sendDatagram } from "./connector-socket.ts";
import { Mailbox } from "./mailbox.ts";

export interface RequestThreadOptions {
  /** Bytes of the core. */
  wasm: Uint8Array;
  mailbox: SharedArrayBuffer;
  /** The port taken for the kernel's: 0, but for a benchmark that plays the kernel from a port of its own. */
  kernelPort: number;
}

/** What the thread tells the one that started it. */
export type RequestThreadMessage =
  | { kind: "listening"; port: number; fd: number }
  | { kind: "notice"; payload: Uint8Array }
  | { kind: "send failed"; errno: number };

const NS_PER_MS = 1e6;

function serve(options: RequestThreadOptions, post: (message: RequestThreadMessage) => void): void {
  const engine = new Engine(new WebAssembly.Module(options.wasm));
  const { abi } = engine;
  const mailbox = new Mailbox(options.mailbox);
  const socket = new ConnectorSocket(abi.CN_IDX_DM);
  const kernel = netlinkAddress(options.kernelPort);

  let memory = engine.bytes();
  let inbox = memory.subarray(abi.INPUT_PAYLOAD, abi.INPUT_PAYLOAD + abi.INPUT_PAYLOAD_BYTES_MAX);
  const notices: Uint8Array[] = [];
  const handler: EffectHandler = {
    send(address, size) {
      const error = sendDatagram(socket.fd, engine.bytes().subarray(address, address + size), kernel);
      if (error !== 0) post({ kind: "send failed", errno: error });
    },
    notice(address, size) {
      notices.push(engine.read(address, size));
    },
  };

  post({ kind: "listening", port: socket.port, fd: socket.fd });
  for (;;) {
    if (memory.length === 0) {
      memory = engine.bytes();
      inbox = memory.subarray(abi.INPUT_PAYLOAD, abi.INPUT_PAYLOAD + abi.INPUT_PAYLOAD_BYTES_MAX);
    }
    const size = socket.receive(inbox);
    if (socket.senderPort === socket.port) {
      if (mailbox.stopRequested()) break;
      mailbox.answer(memory);
      continue;
    }
    const senderPort = socket.senderPort === options.kernelPort ? abi.KERNEL_PORT : socket.senderPort || -1;
    engine.datagramReceived(size, senderPort, Math.round(performance.now() * NS_PER_MS), handler);
    // A person reads notices: they leave when the kernel has its answer.
    while (notices.length > 0) post({ kind: "notice", payload: notices.shift() as Uint8Array });
  }
  socket.close();
}

const port = parentPort;
if (port === null) throw new Error("request-thread is started by server.ts, as a worker thread.");
serve(workerData as RequestThreadOptions, (message) => port.postMessage(message));
