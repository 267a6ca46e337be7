import { join } from "node:path";
import { loadLibc } from "./libc.ts";

const MSG_DONTWAIT = 0x40;
const MESSAGE_BYTES_MAX = 256;

/** The end that systemd holds of a service's NOTIFY_SOCKET. Returns what takes the messages that have come. */
export async function listenAsServiceManager(mainPath: string, name: string): Promise<() => string[]> {
  const calls: typeof import("../../../src/node/unix-sockets.ts") = await import(
    join(mainPath, "../../node/unix-sockets.js")
  );
  const libc = loadLibc(mainPath);
  const bind = libc.func("int bind(int, const void *, unsigned int)");
  const receive = libc.func("intptr_t recv(int, void *, size_t, int)");
  const socket = calls.unixDatagramSocket();
  const address = calls.unixAddress(name);
  if (bind(socket, address, address.length) !== 0) throw new Error(`${name} cannot be bound`);
  const buffer = Buffer.alloc(MESSAGE_BYTES_MAX);
  return () => {
    const messages: string[] = [];
    for (;;) {
      const sizeBytes = receive(socket, buffer, buffer.length, MSG_DONTWAIT) as number;
      if (sizeBytes < 0) return messages;
      messages.push(buffer.toString("utf8", 0, sizeBytes));
    }
  };
}
