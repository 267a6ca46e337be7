// What a running server is doing, whichever host it is: the native one is read, the one in Node.js is asked.

import { Console } from "../../common/console.ts";
import { controlSocketPath } from "../state/runtime-paths.ts";
import { ANSWER_TIMEOUT_MS, fetchMetrics, fetchStatus, PROTOCOL, type Status } from "./control-socket.ts";
import { metricsText } from "./metrics.ts";
import { NativeHost } from "./native-host.ts";

export class Onlooker {
  private console: Console | undefined;

  /** `wasm` gives the bytes of the core, which puts what it finds into words. */
  constructor(
    private readonly runtimeDirectory: string,
    private readonly wasm: () => Uint8Array<ArrayBuffer>,
  ) {}

  /** Rejects with a sentence if no server runs, or if it does not answer in time. */
  async status(timeoutMs = ANSWER_TIMEOUT_MS): Promise<Status> {
    const host = NativeHost.find(this.runtimeDirectory);
    if (host === undefined) return fetchStatus(controlSocketPath(this.runtimeDirectory), timeoutMs);
    try {
      const console = await this.words();
      const logs = console.logs(host);
      return {
        protocol: PROTOCOL,
        host: "native",
        version: host.version,
        pid: host.pid,
        uptimeSeconds: host.uptimeSeconds,
        logs,
        counters: console.counters(host),
        recording: null,
        netlinkPort: host.netlinkPort,
        overruns: host.overruns,
        others: { listeners: host.listeners(), dropped: host.droppedByOthers, toCheck: host.toCheck(logs) },
        busyDevices: host.busyDevices(console),
        silentSeconds: host.silentSeconds,
      };
    } finally {
      host.close();
    }
  }

  /** All metrics as Prometheus reads them. Rejects with a sentence if no server runs. */
  async metrics(): Promise<string> {
    const host = NativeHost.find(this.runtimeDirectory);
    if (host === undefined) return fetchMetrics(controlSocketPath(this.runtimeDirectory));
    try {
      const console = await this.words();
      const logs = console.logs(host);
      return metricsText({
        version: host.version,
        uptimeSeconds: host.uptimeSeconds,
        residentBytes: host.residentBytes,
        counters: console.counters(host),
        logs,
        latencies: host.latencies(console),
        overruns: host.overruns,
        others: { listeners: host.listeners(), dropped: host.droppedByOthers, toCheck: host.toCheck(logs) },
        spin: host.spin,
        busyDevices: host.busyDevices(console),
      });
    } finally {
      host.close();
    }
  }

  private async words(): Promise<Console> {
    this.console ??= await Console.create(this.wasm());
    return this.console;
  }
}
