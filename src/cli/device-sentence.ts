// What to do when device-mapper refuses something.

import { requestSockets } from "../node/requests/netlink-sockets.ts";

const SENTENCES: Record<number, string> = {
  [-1]: "This needs root.",
  [-13]: "This needs root.",
  [-16]: "It is in use: mounted, open in a program, or under another mapping (lsblk and fuser show by whom).",
  [-19]: "The kernel has no device-mapper. Load it: modprobe dm-mirror",
  [-22]: "The kernel refuses the table. Its log tells why: dmesg | tail",
  [-110]: "The server does not answer. See: dm-ulog doctor",
};

const EINVAL = -22;
export const NO_SERVER =
  "No server answers the kernel. Start it: systemctl start dm-ulog (or, where that is not installed: dm-ulog serve)";

/** An error of device-mapper as sentences; any other as it is. */
export function deviceSentence(what: string, error: unknown): Error {
  const { errno, code } = error as NodeJS.ErrnoException;
  if (errno === undefined) return error as Error;
  const number = code === "EACCES" ? -13 : errno;
  // dm-mirror says the same of every log that cannot be made.
  if (number === EINVAL && requestSockets().length === 0) return new Error(`${what}. ${NO_SERVER}`);
  return new Error(`${what}. ${SENTENCES[number] ?? `${(error as Error).message}. See: dm-ulog doctor`}`);
}
