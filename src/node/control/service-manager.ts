// Tells systemd the server's state (sd_notify): that it is ready, that it still answers, that it is stopping. Leaves a descriptor in
// its keeping, which systemd passes to the next server.

import { errno, sendto } from "../system-calls.ts";
import { sendDescriptor, unixAddress, unixDatagramSocket } from "../unix-sockets.ts";

/** Pings in each watchdog period, so that one may come late. */
const PINGS_PER_TIMEOUT = 3;
const FIRST_PASSED = 3;
/** More than any unit stores. */
const PASSED_MAX = 1024;

/** The descriptors that systemd has passed to this process. */
export function passedDescriptors(environment: NodeJS.ProcessEnv, pid = process.pid): number[] {
  const { LISTEN_PID, LISTEN_FDS } = environment;
  const count = Number(LISTEN_FDS);
  if (Number(LISTEN_PID) !== pid || !Number.isInteger(count) || count < 0 || count > PASSED_MAX) return [];
  return Array.from({ length: count }, (_, i) => FIRST_PASSED + i);
}

export class ServiceManager {
  private readonly address: Uint8Array;
  private readonly fd = unixDatagramSocket();
  private pings: NodeJS.Timeout | undefined;

  private constructor(
    socketName: string,
    /** After this many ms without a ping systemd kills the server; 0 if there is no watchdog. */
    private readonly watchdogMs: number,
  ) {
    this.address = unixAddress(socketName);
  }

  /** The service manager that the environment names, or undefined if none started this process. */
  static find(environment: NodeJS.ProcessEnv, pid = process.pid): ServiceManager | undefined {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environment;
    if (NOTIFY_SOCKET === undefined || !/^[@/]./.test(NOTIFY_SOCKET)) return undefined;
    const isForUs = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === pid;
    const watchdogMs = Number(WATCHDOG_USEC ?? 0) / 1000;
    return new ServiceManager(NOTIFY_SOCKET, isForUs && watchdogMs > 0 ? watchdogMs : 0);
  }

  ready(): void {
    this.notify("READY=1");
  }

  /** Says that the server is stopping. The pings end, because the request thread that they check is about to end. */
  stopping(): void {
    clearInterval(this.pings);
    this.notify("STOPPING=1");
  }

  /**
   * Leaves a descriptor to the next server, and takes back what was left under that name before. Returns whether systemd was told: it
   * keeps as many as FileDescriptorStoreMax of the unit allows.
   */
  store(name: string, descriptor: number): boolean {
    this.takeBack(name);
    // FDPOLL: a socket that has dropped something would be taken for broken, and not be kept.
    const state = Buffer.from(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`);
    return sendDescriptor(this.fd, state, descriptor, this.address) === 0;
  }

  /** The next server is not to get it. */
  takeBack(name: string): void {
    this.notify(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }

  /** Pings from now on, each time after `check`. If `check` throws or does not return, there is no ping. */
  watch(check: () => void): void {
    if (this.watchdogMs === 0) return;
    this.pings = setInterval(() => {
      try {
        check();
      } catch {
        return;
      }
      this.notify("WATCHDOG=1");
    }, this.watchdogMs / PINGS_PER_TIMEOUT);
    this.pings.unref();
  }

  /** Returns 0 or a positive errno: there is nobody else to tell. */
  private notify(state: string): number {
    const datagram = Buffer.from(state);
    return sendto(this.fd, datagram, datagram.length, 0, this.address, this.address.length) < 0 ? errno() : 0;
  }
}
