// Tells systemd the server's state (sd_notify): that it is ready, that it still answers, that it is stopping.

import { errno, sendto, unixAddress, unixDatagramSocket } from "../system-calls.ts";

/** Pings in each watchdog period, so that one may come late. */
const PINGS_PER_TIMEOUT = 3;

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
