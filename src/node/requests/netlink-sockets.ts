// Who has a socket of the kernel's connector, as /proc tells: a member of group 7 receives the requests that the server
// answers. What /proc does not tell is whether a socket has NETLINK_BROADCAST_ERROR, by which a full buffer becomes an
// error of the sender.

import { fstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

const NETLINK_CONNECTOR = 11;
/** The group of device-mapper's requests. */
export const CN_IDX_DM = 7;

/** A line of /proc/net/netlink. */
export interface NetlinkSocket {
  /** 0 for the kernel's own. */
  port: number;
  /** A bit for each group that it is a member of. */
  groups: number;
  /** Bytes that it has not read yet. */
  queuedBytes: number;
  /** Datagrams that found its buffer full. */
  drops: number;
  inode: string;
}

/** The process that has a socket open. */
export interface Holder {
  pid: number;
  program: string;
  /** Its effective user. */
  uid: number;
}

/** The process that keeps a server's socket while none runs, of either host. It answers nobody. */
export function isKeeper(holder: Holder | null): boolean {
  return holder !== null && /^dm-ulogd?:keeper$/.test(holder.program) && holder.uid === 0;
}

/** A socket that receives the kernel's requests, and who holds it; null where that cannot be seen. */
export interface Listener extends NetlinkSocket {
  holder: Holder | null;
}

/** Every socket of the connector in this network namespace. */
export function connectorSockets(table = readFileSync("/proc/net/netlink", "utf8")): NetlinkSocket[] {
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => Number(fields[1]) === NETLINK_CONNECTOR)
    .map((fields) => ({
      port: Number(fields[2]),
      groups: Number.parseInt(fields[3] ?? "0", 16),
      queuedBytes: Number(fields[4]),
      drops: Number(fields[8]),
      inode: fields[9] ?? "",
    }));
}

/** The one that this descriptor is, if it is one of this network namespace and bound to a port. */
export function connectorSocketOf(descriptor: number): NetlinkSocket | undefined {
  const inode = attempt(() => String(fstatSync(descriptor).ino));
  return connectorSockets().find((socket) => socket.inode === inode && socket.port !== 0);
}

/** Every socket of this network namespace that receives the kernel's requests. */
export function requestSockets(): NetlinkSocket[] {
  return connectorSockets().filter(({ groups }) => (groups & (1 << (CN_IDX_DM - 1))) !== 0);
}

/** Whether somebody answers the kernel, as far as can be seen without asking: who only keeps a socket does not. */
export function isServed(): boolean {
  const sockets = requestSockets();
  const holders = holdersOf(new Set(sockets.map(({ inode }) => inode)));
  return sockets.some(({ inode }) => !isKeeper(holders.get(inode) ?? null));
}

/**
 * Who holds these sockets, by inode. It looks at every descriptor of every process. Missing are those of processes that this
 * one may not look into (it takes CAP_SYS_PTRACE), or that are in a PID namespace beside this one's.
 */
export function holdersOf(inodes: ReadonlySet<string>): Map<string, Holder> {
  const holders = new Map<string, Holder>();
  if (inodes.size === 0) return holders;
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    // A process may end while it is looked at.
    for (const fd of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const target = attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? "";
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode === undefined || !inodes.has(inode) || holders.has(inode)) continue;
      const holder = attempt(() => holderOf(Number(pid)));
      if (holder !== undefined) holders.set(inode, holder);
    }
  }
  return holders;
}

function holderOf(pid: number): Holder {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    pid,
    program: /^Name:\t(.*)$/m.exec(status)?.[1] ?? "",
    uid: Number(/^Uid:\t\d+\t(\d+)/m.exec(status)?.[1]),
  };
}

function attempt<T>(what: () => T): T | undefined {
  try {
    return what();
  } catch {
    return undefined;
  }
}
