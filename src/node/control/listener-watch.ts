// Watches, while a server runs, who else receives the kernel's requests.
//
// The kernel sends a request to all members of its group at once. A member that does not read, and whose socket reports
// errors (NETLINK_BROADCAST_ERROR), makes the sending fail for the kernel although the server got the request. Most
// requests are only repeated then. But an IN_SYNC that fails counts as "not in sync": the kernel writes to the first leg
// alone, without a mark, and nothing that the server is asked later tells. Since Linux 6.6 such a socket needs no
// privilege. A server cannot prevent that; it can see the socket and what it drops, and say which mirrors were in use.
//
// A look costs the reading of /proc/net/netlink (about 50 µs), and only where a socket is new, of every process's
// descriptors. A socket that comes and goes between two looks is not seen.

import type { LogDescription } from "../../common/console.ts";
import type { Log } from "../log-level.ts";
import type { Holder, Listener, NetlinkSocket } from "../requests/netlink-sockets.ts";

export const LOOK_INTERVAL_MS = 5000;

/** What the watch knows, for status, metrics and the doctor. */
export interface ListenerReport {
  /** Those that receive the kernel's requests now, besides the server. */
  listeners: Listener[];
  /** Requests that such sockets dropped since the server began: each may have failed for the kernel. */
  dropped: number;
  /** UUIDs of logs whose mirrors were in use then. Their legs may differ although the log says in sync. */
  toCheck: string[];
}

export interface ListenerWatchOptions {
  /** The server's own. */
  ownPort: number;
  /** Sockets that receive the kernel's requests. */
  readSockets: () => NetlinkSocket[];
  findHolders: (inodes: ReadonlySet<string>) => Map<string, Holder>;
  /** Asked only where something was dropped, and while there are mirrors to check. */
  readLogs: () => LogDescription[];
  log: Log;
}

export class ListenerWatch {
  /** By inode. */
  private known = new Map<string, Listener>();
  /** Inodes of those of which it was said that they do not read. */
  private readonly saidSilent = new Set<string>();
  private dropped = 0;
  /** The luid that was in use then, by UUID. */
  private readonly toCheck = new Map<string, bigint>();

  constructor(private readonly options: ListenerWatchOptions) {}

  get report(): ListenerReport {
    return { listeners: [...this.known.values()], dropped: this.dropped, toCheck: [...this.toCheck.keys()] };
  }

  /** Looks once, and tells what is new. Throws where the logs or the sockets cannot be read. */
  look(): void {
    const { ownPort, readSockets, findHolders, log } = this.options;
    const sockets = readSockets().filter(({ port }) => port !== ownPort);
    const before = this.known;
    const holders = findHolders(new Set(sockets.flatMap(({ inode }) => (before.has(inode) ? [] : inode))));
    const listeners = sockets.map((socket) => {
      return { ...socket, holder: before.get(socket.inode)?.holder ?? holders.get(socket.inode) ?? null };
    });
    const deaf = listeners.filter(({ inode, drops }) => drops > (before.get(inode)?.drops ?? 0));
    const inUse = deaf.length > 0 || this.toCheck.size > 0 ? this.options.readLogs() : [];
    this.known = new Map(listeners.map((listener) => [listener.inode, listener]));
    this.dismissRemade(inUse);
    const added = deaf.length > 0 ? this.suspect(inUse) : [];
    for (const listener of deaf) this.tellDeaf(listener, before.get(listener.inode), added);
    for (const listener of listeners) this.tellOther(listener, before.get(listener.inode));
    for (const [inode, listener] of before) {
      if (this.known.has(inode)) continue;
      this.saidSilent.delete(inode);
      log(`${nameOf(listener)} receives the kernel's requests no more.`, "info");
    }
  }

  /** Returns the UUIDs that were not suspected before. */
  private suspect(logs: readonly LogDescription[]): string[] {
    const added: string[] = [];
    for (const { uuid, luid, state } of logs) {
      if (state !== "resumed" && state !== "suspending") continue;
      if (!this.toCheck.has(uuid)) added.push(uuid);
      this.toCheck.set(uuid, luid);
    }
    return added;
  }

  /** A log that was made since, and began with everything out of sync, has its mirror copied as a whole. */
  private dismissRemade(logs: readonly LogDescription[]): void {
    for (const { uuid, luid, state, options, device } of logs) {
      const suspected = this.toCheck.get(uuid);
      if (suspected === undefined || suspected === luid || state !== "resumed") continue;
      if (!options.includes("sync") && (device !== null || options.includes("nosync"))) continue;
      this.toCheck.delete(uuid);
      this.options.log(`The mirror of log ${uuid} is copied as a whole: it needs no check any more.`, "info");
    }
  }

  private tellDeaf(listener: Listener, before: Listener | undefined, added: readonly string[]): void {
    this.dropped += listener.drops - (before?.drops ?? 0);
    // Said again when it concerns other mirrors; how it grows is what metrics are for.
    if ((before?.drops ?? 0) > 0 && added.length === 0) return;
    const mirrors = [...this.toCheck.keys()];
    this.options.log(
      `${nameOf(listener)} receives the kernel's requests and does not read them: its socket has dropped ` +
        `${listener.drops}. If that socket reports errors to the sender (NETLINK_BROADCAST_ERROR), as many requests may ` +
        "have failed, and writes may have reached the first leg of a mirror alone, without a mark. " +
        `${endingOf(listener)} ${mirrors.length === 0 ? "No mirror was in use." : `Then check the mirrors of these logs: ${mirrors.join(", ")} ("A deaf listener" in docs/operating.md says how).`}`,
      "error",
    );
  }

  private tellOther(listener: Listener, before: Listener | undefined): void {
    const { log } = this.options;
    const { inode, drops, queuedBytes, holder } = listener;
    if (drops > 0) return;
    if (before === undefined) {
      log(
        mayAnswer(holder)
          ? `${nameOf(listener)} receives the kernel's requests too. If it answers them, as cmirrord does, stop it: two ` +
              "servers with two opinions of a mirror destroy it. If it only reads them, it does no harm."
          : `${nameOf(listener)} receives the kernel's requests too. It does no harm as long as it reads them.`,
        "warning",
      );
    } else if (before.queuedBytes > 0 && queuedBytes >= before.queuedBytes && !this.saidSilent.has(inode)) {
      this.saidSilent.add(inode);
      log(
        `${nameOf(listener)} receives the kernel's requests and has not read any for some seconds (${queuedBytes} bytes ` +
          `wait). When its buffer is full, requests to this server may fail with it. ${endingOf(listener)}`,
        "warning",
      );
    }
  }
}

/** The kernel takes answers of root alone. One that cannot be seen is taken for root's. */
export function mayAnswer(holder: Holder | null): boolean {
  return holder === null || holder.uid === 0;
}

/** The listener at the beginning of a sentence. */
export function nameOf({ holder, port, inode }: Listener): string {
  return holder === null
    ? `A process that this one cannot see (netlink port ${port}, socket ${inode})`
    : `Process ${holder.pid} (${holder.program}, user ${holder.uid})`;
}

function endingOf({ holder }: Listener): string {
  return holder === null ? "Find it with: sudo dm-ulog doctor; and end it." : `End it: sudo kill ${holder.pid}.`;
}
