import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** Joins the group of the kernel's requests with NETLINK_BROADCAST_ERROR and a small buffer, and never reads. */
function program(mainPath: string): string {
  return `
    const koffi = require("node:module").createRequire(${JSON.stringify(mainPath)})("koffi");
    const libc = koffi.load(null);
    const [AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR, SOL_SOCKET, SO_RCVBUF] = [16, 2, 11, 1, 8];
    const [SOL_NETLINK, ADD_MEMBERSHIP, BROADCAST_ERROR, CN_IDX_DM] = [270, 1, 4, 7];
    const word = (value) => new Uint8Array(new Int32Array([value]).buffer);
    const socket = libc.func("int socket(int, int, int)")(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR);
    const address = new Uint8Array(new Uint32Array([AF_NETLINK, 0, 0]).buffer);
    const setsockopt = libc.func("int setsockopt(int, int, int, const void *, unsigned int)");
    const results = [
      libc.func("int bind(int, const void *, unsigned int)")(socket, address, address.length),
      setsockopt(socket, SOL_SOCKET, SO_RCVBUF, word(1), 4),
      setsockopt(socket, SOL_NETLINK, BROADCAST_ERROR, word(1), 4),
      setsockopt(socket, SOL_NETLINK, ADD_MEMBERSHIP, word(CN_IDX_DM), 4),
    ];
    if (socket < 0 || results.some((result) => result !== 0)) throw new Error("It cannot listen: " + results);
    console.log("deaf");
    setInterval(() => {}, 1e6);`;
}

/** Starts such a program. Resolves when it has joined. */
export async function startDeafListener(mainPath: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["--eval", program(mainPath)], { stdio: ["ignore", "pipe", "inherit"] });
  await Promise.race([
    once(child.stdout as NonNullable<typeof child.stdout>, "data"),
    once(child, "exit").then(() => {
      throw new Error("The deaf listener has ended.");
    }),
  ]);
  return child;
}
