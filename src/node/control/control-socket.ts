// Status and orders over HTTP on a unix socket, so that any tool can ask:
//   curl --unix-socket /run/dm-ulog/control.sock http://x/status
//
// docs/control.md describes it.
//
//   GET /status        a Status
//   GET /metrics       the same for Prometheus, with latencies
//   POST /record       RecordingOptions: records from now on
//   POST /record/stop  answers with { "path": … } when all is written, or with null
//   POST /record/save  { "path": … }: what the flight recorder holds
// Bodies are JSON, except for metrics. A request that cannot be carried out is answered with a sentence and 4xx, or 503.

import { rmSync } from "node:fs";
import { createServer, type Server as HttpServer, type IncomingMessage, request } from "node:http";
import { isAbsolute } from "node:path";
import { text } from "node:stream/consumers";
import { type Counters, type LogDescription, logOfJson } from "../../common/console.ts";
import { toJson, type Written } from "../../common/json.ts";
import type { RecordingOptions } from "../recording/trace-files.ts";
import type { Server } from "../server.ts";
import type { ListenerReport } from "./listener-watch.ts";
import { metricsText } from "./metrics.ts";
import type { BusyDevice } from "./native-host.ts";
import { PROMETHEUS_CONTENT_TYPE } from "./prometheus.ts";

export interface Status {
  /** Of this description: raised when a field changes its meaning. */
  protocol: number;
  host: "node" | "native";
  version: string;
  pid: number;
  uptimeSeconds: number;
  logs: LogDescription[];
  counters: Counters;
  /** The file that the server records to, or null. */
  recording: string | null;
  /** Of the socket that it receives the kernel's requests on. */
  netlinkPort: number;
  /** Times its receive buffer was full, so that requests were lost and asked for again. */
  overruns: number;
  /** Who else receives the kernel's requests. */
  others: ListenerReport;
  /** Operations on log devices that take longer than 5 s. The Node.js host does not tell. */
  busyDevices: BusyDevice[];
  /** Seconds since the request thread was last seen at work. */
  silentSeconds: number;
}

/** Of `Status` and of the paths above. */
export const PROTOCOL = 2;
/** A description takes milliseconds: who waits longer waits for a server that is stuck. */
export const ANSWER_TIMEOUT_MS = 10_000;
/** More connections at one time are refused. Only root connects, and asks one thing. */
const CONNECTIONS_MAX = 32;
/** Who has not asked by then is disconnected. A recording that stops may take longer to answer. */
const PATIENCE_MS = 10_000;
/** A recording's options are few. */
const BODY_BYTES_MAX = 65_536;

/** Serves `path`; the runtime directory's lock makes sure that it is ours. Resolves when it listens. */
export function serveStatus(server: Server, path: string, version: string): Promise<HttpServer> {
  rmSync(path, { force: true });
  const answers: Record<string, (body: unknown) => unknown> = {
    "GET /status": (): Status => ({
      protocol: PROTOCOL,
      host: "node",
      version,
      pid: process.pid,
      uptimeSeconds: Math.round(process.uptime()),
      logs: server.console.logs(server),
      counters: server.console.counters(server),
      recording: server.recordedPath ?? null,
      netlinkPort: server.port,
      overruns: server.overruns,
      others: server.others,
      busyDevices: [],
      silentSeconds: 0,
    }),
    "GET /metrics": () => new MetricsText(serverMetrics(server, version)),
    "POST /record": (body) => server.record(recordingOptions(body)),
    "POST /record/stop": async () => {
      const recorded = await server.stopRecording();
      return recorded === undefined ? null : { path: recorded };
    },
    "POST /record/save": (body) => server.saveFlight(absolutePath(body)),
  };
  const http = createServer(async (incoming, outgoing) => {
    try {
      const answer = answers[`${incoming.method} ${incoming.url}`];
      if (answer === undefined) {
        outgoing
          .writeHead(404, { "content-type": "text/plain" })
          .end(`The paths are: ${Object.keys(answers).join(", ")}.\n`);
        return;
      }
      const result = await answer(await bodyOf(incoming));
      const isText = result instanceof MetricsText;
      const type = isText ? PROMETHEUS_CONTENT_TYPE : "application/json";
      outgoing.writeHead(200, { "content-type": type }).end(isText ? result.text : toJson(result ?? null));
    } catch (error) {
      const status = error instanceof Refusal ? 400 : 503;
      outgoing.writeHead(status, { "content-type": "text/plain" }).end(`${(error as Error).message}\n`);
    }
  });
  http.maxConnections = CONNECTIONS_MAX;
  http.headersTimeout = PATIENCE_MS;
  http.requestTimeout = PATIENCE_MS;
  http.keepAliveTimeout = PATIENCE_MS;
  return new Promise((resolve, reject) => {
    http.once("error", reject);
    http.listen(path, () => resolve(http));
  });
}

/** All metrics of a server. Blocks this thread until the request thread has answered. */
export function serverMetrics(server: Server, version: string): string {
  return metricsText({
    version,
    uptimeSeconds: process.uptime(),
    residentBytes: process.memoryUsage.rss(),
    counters: server.console.counters(server),
    logs: server.console.logs(server),
    latencies: server.latencies,
    overruns: server.overruns,
    others: server.others,
    spin: server.spin,
  });
}

class MetricsText {
  constructor(readonly text: string) {}
}

/** Asks the server at `path`. Rejects with a sentence if none answers. */
export async function fetchStatus(path: string, timeoutMs = ANSWER_TIMEOUT_MS): Promise<Status> {
  // A server that was started before an upgrade does not tell all of it.
  const untold = {
    ...{ protocol: 0, host: "node" as const, netlinkPort: 0, overruns: 0, busyDevices: [], silentSeconds: 0 },
    others: { listeners: [], dropped: 0, toCheck: [] },
  };
  const told = JSON.parse(await ask(path, "GET", "/status", { timeoutMs })) as Omit<Status, "logs"> & {
    logs: Written<LogDescription>[];
  };
  return { ...untold, ...told, logs: told.logs.map(logOfJson) };
}

/** The metrics of the server at `path`. Rejects with a sentence if none answers. */
export function fetchMetrics(path: string): Promise<string> {
  return ask(path, "GET", "/metrics");
}

/** Makes the server at `path` record. Rejects with a sentence if it cannot. */
export async function askToRecord(path: string, options: RecordingOptions): Promise<void> {
  await ask(path, "POST", "/record", { body: options });
}

/** Ends the recording of the server at `path`. Resolves with its file, or undefined if there was no recording. */
export async function askToStopRecording(path: string): Promise<string | undefined> {
  return (JSON.parse(await ask(path, "POST", "/record/stop")) as { path: string } | null)?.path;
}

/** Makes the server at `path` write the contents of its flight recorder to a file. */
export async function askToSaveFlight(path: string, file: string): Promise<void> {
  await ask(path, "POST", "/record/save", { body: { path: file } });
}

function ask(
  socketPath: string,
  method: string,
  path: string,
  { body, timeoutMs = method === "GET" ? ANSWER_TIMEOUT_MS : 0 }: { body?: unknown; timeoutMs?: number } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, method, path, timeout: timeoutMs }, async (response) => {
      try {
        const answer = await text(response);
        if (response.statusCode === 200) resolve(answer);
        else reject(new Error(answer.trim()));
      } catch (error) {
        reject(error);
      }
    });
    asking.on("timeout", () => {
      asking.destroy(new Error(`The server at ${socketPath} has not answered for ${timeoutMs / 1000} s.`));
    });
    asking.on("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === undefined ? error : new Error(unreachable(socketPath, error.code))),
    );
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** The request makes no sense. */
class Refusal extends Error {}

async function bodyOf(incoming: IncomingMessage): Promise<unknown> {
  let body = "";
  incoming.setEncoding("utf8");
  for await (const part of incoming) {
    body += part;
    if (body.length > BODY_BYTES_MAX) throw new Refusal("The body is too long.");
  }
  try {
    return body === "" ? {} : JSON.parse(body);
  } catch {
    throw new Refusal("The body is not JSON.");
  }
}

function recordingOptions(body: unknown): RecordingOptions {
  const { sizeBytes, filesMax } = (body ?? {}) as Partial<RecordingOptions>;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  if (!isCount(sizeBytes) || !isCount(filesMax)) throw new Refusal("A recording needs sizeBytes and filesMax.");
  return { path: absolutePath(body), sizeBytes, filesMax };
}

function absolutePath(body: unknown): string {
  const { path } = (body ?? {}) as { path?: unknown };
  if (typeof path !== "string" || !isAbsolute(path)) throw new Refusal("Name a file with its absolute path.");
  return path;
}

function unreachable(path: string, code: string | undefined): string {
  if (code === "EACCES") return `Only root may talk to the server at ${path}: put sudo before the command.`;
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    return `No server answers at ${path}. Start one with: sudo dm-ulog serve`;
  }
  return `The server at ${path} cannot be reached: ${code ?? "unknown error"}.`;
}
