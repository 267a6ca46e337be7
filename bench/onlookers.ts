// Those who look on at a live view, as a process of their own, for view.ts. Argument: the page's address.
// A message from its parent says whether they are to be there: idle ones, who take what comes and do nothing with it, and
// stuck ones, who ask and take nothing. It answers when they are, or are gone, with the bytes that were taken.

import { once } from "node:events";
import { connect, type Socket } from "node:net";

const FEED = "live.pcapng";

const url = new URL(process.argv[2] as string);
const sockets: Socket[] = [];
let takenBytes = 0;

async function ask(isStuck: boolean): Promise<void> {
  const socket = connect(Number(url.port), url.hostname);
  sockets.push(socket);
  // Stuck ones are let go after half a minute, as they should be.
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
