// A socket in the kernel's part: asks a real server over this machine's netlink. Needs CAP_NET_ADMIN.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { RawNetlinkSocket } from "node-netlink";
import type { Abi } from "../src/common/abi.ts";
import { decodeReply, encodeRequest, type Reply, type Request } from "../src/common/kernel-frames.ts";

const NETLINK_CONNECTOR = 11;
const CAP_NET_ADMIN = 12n;
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

  constructor(
    private readonly abi: Abi,
    private readonly uuid: string,
  ) {
    const netlink = createRequire(import.meta.url)("node-netlink") as typeof import("node-netlink");
    this.socket = new netlink.RawNetlinkSocket(NETLINK_CONNECTOR, BUFFERS);
  }

  /** What a server is told to take for the kernel's. */
  get port(): number {
    return this.socket.address().port;
  }

  /** Asks, and waits for no answer. Returns the request's number. */
  tell(port: number, type: Request["type"], data: Request["data"] = []): number {
    const request = { type, uuid: this.uuid, luid: 3n, seq: ++this.seq, data };
    this.socket.send(encodeRequest(this.abi, request), { port }, () => {});
    return request.seq;
  }

  /** Waits until a request is to be sent again. Returns its number and the errno that says so. */
  async askedAgain(): Promise<{ seq: number; errno: number }> {
    const { CN_SEQ, CN_ACK, FRAME_BYTES } = this.abi;
    for (;;) {
      const [datagram] = (await once(this.socket, "message")) as [Uint8Array];
      if (datagram.length >= FRAME_BYTES) continue;
      const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
      return { seq: view.getUint32(CN_SEQ, true), errno: view.getUint32(CN_ACK, true) };
    }
  }

  /** Asks the server that receives on `port`, and waits for its answer. */
  async ask(port: number, type: Request["type"], data: Request["data"] = []): Promise<Reply> {
    this.tell(port, type, data);
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
