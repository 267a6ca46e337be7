// Tells systemd how the server is (sd_notify): that it serves, that it still answers, that it ends.

import { errno, sendto, unixAddress, unixDatagramSocket } from "./system-calls.ts";

/** Pings in each watchdog time: one may come late without harm. */
const PINGS_PER_TIMEOUT = 3;

export class ServiceManager {
  private readonly address: Uint8Array;
  private readonly fd = unixDatagramSocket();
  private pings: NodeJS.Timeout | undefined;

  private constructor(
    socketName: string,
    /** A silence of so many ms counts as death; 0 where nobody watches. */
    private readonly watchdogMs: number,
  ) {
    this.address = unixAddress(socketName);
  }

  /** The service manager that the environment names, or undefined where none started this process. */
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

  /** Says that the server ends. There are no pings any more: whom they ask is about to be gone. */
  stopping(): void {
    clearInterval(this.pings);
    this.notify("STOPPING=1");
  }

  /** Pings from now on, each time after `check`: where that throws, or does not return, there is no ping. */
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
