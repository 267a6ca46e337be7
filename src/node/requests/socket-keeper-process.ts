// A process that keeps the netlink socket of a server that dies, until another asks for it: see socket-keeper.ts.
//
// It ends when its server says so, when no server has come for a while, or when it sees that another server has a socket of its own
// in the kernel's group: then its own would only fill up. What waits in it is asked for anew then. It waits in system calls and not on the event loop, which knows no sockets
// for packets. It is 8 MB of memory of its own.
//
//   node socket-keeper-process.js PATH INODE MS    where it listens, the number of that file, how long it waits for a server
//   3  socket that listens    4  connection to the server    5  what it keeps

import { lstatSync, rmSync } from "node:fs";
import { closeDescriptor, EINTR, ENOBUFS, errno, MSG_DONTWAIT, recvfrom } from "../system-calls.ts";
import { acceptOwn, receiveByte, sendDescriptor, waitForAny } from "../unix-sockets.ts";
import {
  AskAgain,
  BARE_BYTES,
  CN_SEQ,
  changeGroup,
  NETLINK_DROP_MEMBERSHIP,
  SOCKADDR_NL_BYTES,
  sendDatagram,
} from "./netlink-datagrams.ts";
import { CN_IDX_DM, connectorSocketOf, requestSockets } from "./netlink-sockets.ts";
import { END, TAKE } from "./socket-keeper.ts";

const LISTENER = 3;
const FIRST_SERVER = 4;
const KEPT = 5;
const LOOK_MS = 500;
/** How others see it; the kernel cuts longer names off. */
const TITLE = "dm-ulog:keeper";

const NS_PER_MS = 1_000_000n;

/** The clock goes on while the machine is set to another time. */
function nowMs(): number {
  return Number(process.hrtime.bigint() / NS_PER_MS);
}

function hasOtherServer(port: number | undefined): boolean {
  return requestSockets().some((socket) => socket.port !== port && socket.port !== 0);
}

/** Returns when nobody needs the socket any more. */
function keep(withoutServerMs: number): void {
  const port = connectorSocketOf(KEPT)?.port;
  let server = FIRST_SERVER;
  for (let leftAtMs = nowMs(); ; ) {
    const ready = waitForAny(server < 0 ? [LISTENER] : [LISTENER, server], server < 0 ? LOOK_MS : -1);
    if (ready.includes(LISTENER)) {
      const next = acceptOwn(LISTENER);
      if (next < 0) continue;
      if (server >= 0) closeDescriptor(server);
      server = next;
    } else if (server < 0) {
      if (nowMs() - leftAtMs >= withoutServerMs || hasOtherServer(port)) return;
    } else {
      const word = receiveByte(server);
      if (word === END) return;
      if (word === TAKE) sendDescriptor(server, Uint8Array.of(TAKE), KEPT);
      if (word !== "end") continue;
      closeDescriptor(server);
      server = -1;
      leftAtMs = nowMs();
    }
  }
}

/** Whoever asked and got no answer asks again at once, and finds out who serves now. Else it would wait for 15 s. */
function sendBack(): void {
  const port = connectorSocketOf(KEPT)?.port;
  const sender = new Uint32Array(SOCKADDR_NL_BYTES / 4);
  const senderBytes = new Uint8Array(sender.buffer);
  const bytes = new Uint8Array(new ArrayBuffer(BARE_BYTES));
  const asked = new DataView(bytes.buffer);
  const again = new AskAgain();
  changeGroup(KEPT, NETLINK_DROP_MEMBERSHIP, CN_IDX_DM);
  for (;;) {
    const senderSize = new Uint32Array([SOCKADDR_NL_BYTES]);
    const size = recvfrom(KEPT, bytes, BARE_BYTES, MSG_DONTWAIT, senderBytes, senderSize);
    if (size < 0 && errno() !== ENOBUFS && errno() !== EINTR) return;
    // A server's bell is shorter, or comes from its own socket.
    if (size < BARE_BYTES || sender[1] === port) continue;
    sendDatagram(KEPT, again.of(asked.getUint32(CN_SEQ, true)), senderBytes);
  }
}

/** Another keeper may listen there by now, and keep the same socket. */
function end(path: string, inode: string): void {
  if (String(lstatSync(path, { throwIfNoEntry: false })?.ino) !== inode) return;
  rmSync(path);
  sendBack();
}

const [, , path, inode, withoutServerMs] = process.argv as [string, string, string, string, string];
process.title = TITLE;
keep(Number(withoutServerMs));
end(path, inode);
