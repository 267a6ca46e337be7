// Viewers of a live view, in a process of their own, for view.ts. Argument: the page's address.
// A message from its parent connects or disconnects them: idle viewers, which take all data and ignore it, and stuck viewers,
// which send a request and take nothing. It replies when this is done, with the number of bytes taken.

import { once } from "node:events";
import { connect, type Socket } from "node:net";

const FEED = "live.pcapng";

const url = new URL(process.argv[2] as string);
const sockets: Socket[] = [];
let takenBytes = 0;

async function ask(isStuck: boolean): Promise<void> {
  const socket = connect(Number(url.port), url.hostname);
  sockets.push(socket);
  // The server disconnects stuck viewers after half a minute, as it should.
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(`GET /${FEED} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
  const [head] = (await once(socket, "data")) as [Buffer];
  if (!head.toString("latin1").startsWith("HTTP/1.1 200 ")) throw new Error(head.toString("latin1"));
  if (isStuck) socket.pause();
  else {
    socket.on("data", (bytes: Buffer) => {
      takenBytes += bytes.length;
    });
  }
}

process.on("message", async ({ idle, stuck }: { idle: number; stuck: number }) => {
  const bytes = takenBytes;
  takenBytes = 0;
  for (const socket of sockets.splice(0)) socket.destroy();
  for (let i = 0; i < idle + stuck; i++) await ask(i >= idle);
  process.send?.({ takenBytes: bytes });
});
// Without a parent nobody needs them.
process.on("disconnect", () => process.exit());
process.send?.({ takenBytes: 0 });
