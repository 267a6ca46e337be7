// The netlink socket outlives a server that dies: the kernel's requests wait in it for the next one. Without that the kernel would
// find nobody, and it looks for a server only every 2 s.
//
// Under systemd the socket is in the store of descriptors. Else a process keeps it (socket-keeper-process.ts), which listens at
// `keeper` in the runtime directory. Server and keeper are connected as long as both live. On the connection a byte "t" asks for the
// socket, and is answered with it; "e" ends the keeper. The native host (src/native/keeper.c) speaks the same, so that each host goes
// on with the socket of the other.
//
// Invariant: what is kept is the socket that the server receives on. Another one of an earlier server would hold old requests, and
// a CLEAR among them that is carried out late says in sync of a region that was written since.
//
// Nothing of this keeps a server from starting: whoever does not answer within a time is passed over.

import { spawn } from "node:child_process";
import { lstatSync, readlinkSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { passedDescriptors, type ServiceManager } from "../control/service-manager.ts";
import type { Log } from "../log-level.ts";
import { socketKeeperPath } from "../state/runtime-paths.ts";
import { closeDescriptor } from "../system-calls.ts";
import {
  connectForPackets,
  isOwnPeer,
  listenForPackets,
  packetPair,
  receiveDescriptor,
  sendByte,
} from "../unix-sockets.ts";
import { connectorSocketOf } from "./netlink-sockets.ts";

export const TAKE = "t".charCodeAt(0);
export const END = "e".charCodeAt(0);
/** In the store of systemd. */
const STORED_NAME = "netlink";
/** So long a server waits for a keeper to answer. */
const ANSWER_MS = 1000;
/** So long the socket is kept without a server: a new one starts in less. Then the kernel hears that there is none. */
const WITHOUT_SERVER_MS = 10_000;

export interface SocketKeeperOptions {
  runtimeDirectory: string;
  /** Keeps the socket if there is one. */
  manager: ServiceManager | undefined;
  environment: NodeJS.ProcessEnv;
  log: Log;
  /** How long a keeper waits for the next server, in ms; 10 s by default. */
  withoutServerMs?: number;
}

export class SocketKeeper {
  private readonly path: string;
  /** To the process that keeps the server's socket, or -1. */
  private connection = -1;
  private isStored = false;

  constructor(private readonly options: SocketKeeperOptions) {
    // The keeper has another working directory.
    this.path = resolve(socketKeeperPath(options.runtimeDirectory));
  }

  /** The socket that a server before this one has left, or undefined. Waits a second at most. */
  take(): number | undefined {
    return this.passed() ?? this.kept();
  }

  /** Sees to it that this socket, on which the server receives, outlives it. */
  keep(descriptor: number): void {
    this.isStored = this.options.manager?.store(STORED_NAME, descriptor) ?? false;
    if (this.isStored || this.connection >= 0) return;
    try {
      this.start(descriptor);
    } catch (error) {
      this.tellUnkept((error as Error).message);
    }
  }

  /** Whether something keeps it. */
  get isKept(): boolean {
    return this.isStored || this.connection >= 0;
  }

  /** The server has stopped, and the kernel is to hear that there is none. */
  letGo(): void {
    if (this.isStored) this.options.manager?.takeBack(STORED_NAME);
    if (this.connection >= 0) sendByte(this.connection, END);
    this.disconnect();
  }

  /** The server does not serve, or not any more. The keeper waits for another. */
  disconnect(): void {
    if (this.connection >= 0) closeDescriptor(this.connection);
    this.connection = -1;
  }

  /** What systemd has passed is told by what the kernel says of it, not by its name. */
  private passed(): number | undefined {
    const { environment } = this.options;
    let found: number | undefined;
    for (const descriptor of passedDescriptors(environment)) {
      if (found === undefined && connectorSocketOf(descriptor) !== undefined) found = descriptor;
      // Whatever else it may be is left alone: where the environment is another program's, it is Node.js's own.
      else if (isSocket(descriptor)) closeDescriptor(descriptor);
    }
    // A program that this one starts is passed nothing.
    delete environment.LISTEN_PID;
    delete environment.LISTEN_FDS;
    return found;
  }

  private kept(): number | undefined {
    try {
      this.connection = connectForPackets(this.path, ANSWER_MS);
    } catch {
      return undefined; // There is no keeper.
    }
    // One of another user would read along.
    if (isOwnPeer(this.connection) && sendByte(this.connection, TAKE)) {
      const descriptor = receiveDescriptor(this.connection);
      if (connectorSocketOf(descriptor) !== undefined) return descriptor;
      if (descriptor >= 0) closeDescriptor(descriptor);
    }
    this.disconnect();
    return undefined;
  }

  private start(descriptor: number): void {
    rmSync(this.path, { force: true });
    const listener = listenForPackets(this.path);
    const [own, its] = packetPair();
    const { withoutServerMs = WITHOUT_SERVER_MS } = this.options;
    const program = fileURLToPath(new URL("./socket-keeper-process.js", import.meta.url));
    try {
      const words = [program, this.path, lstatSync(this.path).ino, withoutServerMs].map(String);
      const child = spawn(process.execPath, words, {
        // Neither the server's terminal nor its working directory, and nobody waits for what it says.
        detached: true,
        cwd: "/",
        env: {},
        stdio: ["ignore", "ignore", "ignore", listener, its, descriptor],
      });
      child.unref();
      child.on("error", (error) => this.tellUnkept(error.message));
      child.on("exit", (code, signal) => {
        if (this.connection === own) this.tellUnkept(`the process that kept it has ended: ${signal ?? code}`);
      });
      this.connection = own;
    } catch (error) {
      closeDescriptor(own);
      throw error;
    } finally {
      closeDescriptor(listener);
      closeDescriptor(its);
    }
  }

  private tellUnkept(why: string): void {
    this.options.log(
      `Nothing keeps the server's socket (${why}): if this server dies, the kernel notices only after some seconds that there is a ` +
        "new one.",
      "warning",
    );
  }
}

function isSocket(descriptor: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("socket:");
  } catch {
    return false;
  }
}
