// A socket in the kernel's part: asks a real server over this machine's netlink. Needs CAP_NET_ADMIN.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { RawNetlinkSocket } from "node-netlink";
import type { Abi } from "../src/common/abi.ts";
import { decodeReply, encodeRequest, type Reply, type Request } from "../src/common/kernel-frames.ts";

const NETLINK_CONNECTOR = 11;
const CAP_NET_ADMIN = 12n;
const EAGAIN = 11;
const BUFFERS = { recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 };

/** Why no server can be asked here, or undefined where one can. */
export function lacksForServer(): string | undefined {
  if (process.platform !== "linux") return "this is not Linux";
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  if (((BigInt(`0x${capabilities}`) >> CAP_NET_ADMIN) & 1n) === 0n) return "there is no CAP_NET_ADMIN";
  return undefined;
}

export class PlayedKernel {
  private readonly socket: RawNetlinkSocket;
  private seq = 0;
  /** Numbers of requests that are to be sent again, in the order in which that was heard. */
  readonly askedAgain: number[] = [];

  constructor(
    private readonly abi: Abi,
    private readonly uuid: string,
  ) {
    const netlink = createRequire(import.meta.url)("node-netlink") as typeof import("node-netlink");
    this.socket = new netlink.RawNetlinkSocket(NETLINK_CONNECTOR, BUFFERS);
    this.socket.on("message", (datagram: Uint8Array) => {
      if (datagram.length >= abi.FRAME_BYTES) return;
      const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
      if (view.getUint32(abi.CN_ACK, true) === EAGAIN) this.askedAgain.push(view.getUint32(abi.CN_SEQ, true));
    });
  }

  /** What a server is told to take for the kernel's. */
  get port(): number {
    return this.socket.address().port;
  }

  /** Asks, of the mirror of another log where one is given, and waits for no answer. Returns the request's number. */
  tell(port: number, type: Request["type"], data: Request["data"] = [], uuid = this.uuid): number {
    const request = { type, uuid, luid: 3n, seq: ++this.seq, data };
    this.socket.send(encodeRequest(this.abi, request), { port }, () => {});
    return request.seq;
  }

  /** Asks the server that receives on `port`, and waits for its answer. */
  async ask(port: number, type: Request["type"], data: Request["data"] = [], uuid = this.uuid): Promise<Reply> {
    this.tell(port, type, data, uuid);
    for (;;) {
      const [datagram] = (await once(this.socket, "message")) as [Uint8Array];
      // A server that starts asks for what died with the one before.
      if (datagram.length >= this.abi.FRAME_BYTES) return decodeReply(this.abi, datagram);
    }
  }

  close(): void {
    this.socket.close();
  }
}
