// What a bug report needs of a machine. Each part is made by itself and within a time limit: the server may be dead or hang, a device
// may hang, and what is missing is told with the reason.
//
// Nothing of the data on mirrors is read. Tables are shown of mirrors alone: those of other targets may hold keys (dm-crypt).

import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { machine, release, version as systemVersion, type } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TableLine } from "../node/devices/device-mapper.ts";
import { outputOf } from "../node/limited-command.ts";
import { crashDirectory, flightPath, lostFlightPath } from "../node/state/runtime-paths.ts";
import { nativePath, onlookerOf, packageVersion } from "./installation.ts";
import { jsonLine } from "./json-line.ts";
import { reportOf, type StatusReport } from "./status-report.ts";
import { statusText } from "./status-text.ts";

/** For a program that another one is waited for: enough for a doctor who finds a server that hangs. */
const PROGRAM_LIMIT_MS = 15_000;
const JOURNAL_LINES = 5000;
const KERNEL_LINE = /device-mapper|dm-log|dm-mirror|raid1|dm-ulog|I\/O error|hung|blocked for more|Out of memory/i;

export interface Part {
  /** In the archive. */
  name: string;
  /** What it is, for the person who sends it. */
  what: string;
  /** Rejects with the sentence why it is missing. */
  make(): Promise<string | Uint8Array>;
}

export interface ReportPlaces {
  runtimeDir: string;
  mirrorsDir: string;
}

export function partsOf({ runtimeDir, mirrorsDir }: ReportPlaces): Part[] {
  let report: Promise<StatusReport> | undefined;
  const status = () => {
    report ??= readReport(runtimeDir, mirrorsDir);
    return report;
  };
  return [
    { name: "versions.txt", what: "Versions of dm-ulog, Node.js, the kernel and the distribution", make: versions },
    {
      name: "status.txt",
      what: "What dm-ulog status shows: mirrors, their devices and logs",
      make: async () => statusText(await status(), true),
    },
    { name: "status.json", what: "The same for programs, with all counts", make: async () => jsonLine(await status()) },
    {
      name: "metrics.txt",
      what: "What dm-ulog metrics shows: counts and times of requests",
      make: () => onlookerOf(runtimeDir).metrics(),
    },
    {
      name: "tables.txt",
      what: "The kernel's tables of mirrors, and the names of other mapped devices",
      make: async () => {
        const { readTables } = await import("../node/devices/device-mapper.ts");
        return tablesText(readTables());
      },
    },
    {
      name: "processes.txt",
      what: "Processes that receive the kernel's requests: command lines, and what each thread waits for",
      make: processes,
    },
    {
      name: "doctor.txt",
      what: "What dm-ulog doctor finds",
      make: () => outputOf(process.execPath, [mainPath(), "doctor", "--runtime-dir", runtimeDir], PROGRAM_LIMIT_MS),
    },
    {
      name: "journal.txt",
      what: `The last ${JOURNAL_LINES} lines of the server's log in the journal`,
      make: journal,
    },
    {
      name: "kernel-log.txt",
      what: "Lines of the kernel's log about mirrors, I/O errors and processes that hang",
      make: async () => kernelLines(await outputOf("dmesg", [], PROGRAM_LIMIT_MS)),
    },
    ...declaredParts(mirrorsDir),
    ...traceParts(runtimeDir),
  ];
}

async function readReport(runtimeDir: string, mirrorsDir: string): Promise<StatusReport> {
  const { readStatusFacts } = await import("./status-facts.ts");
  return reportOf(await readStatusFacts(onlookerOf(runtimeDir), mirrorsDir), new Date());
}

async function versions(): Promise<string> {
  const distribution = attempt(() => /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1]);
  const modules = attempt(() => readFileSync("/proc/modules", "utf8")) ?? "";
  return [
    `dm-ulog ${packageVersion()}`,
    `native host: ${nativePath() ?? "not built"}`,
    `Node.js ${process.version}`,
    `${type()} ${release()} ${machine()}, ${systemVersion()}`,
    `distribution: ${distribution ?? "unknown"}`,
    `modules: ${modules.match(/^(dm_\w+|cn|connector|raid1|md_mod)(?= )/gm)?.join(" ") ?? "none that matter"}`,
    "",
  ].join("\n");
}

/** What is under mirrors, and beside them, is told by its name alone. */
export function tablesText(lines: readonly TableLine[]): string {
  if (lines.length === 0) return "The kernel has no mapped devices.\n";
  return lines
    .map(({ name, type: target, text, lengthSectors, isLive, isSuspended }) => {
      const state = [...(isLive ? [] : ["not live yet"]), ...(isSuspended ? ["suspended"] : [])].join(", ");
      const rest = target === "mirror" ? ` ${text}` : "";
      return `${name}${state === "" ? "" : ` (${state})`}: ${lengthSectors} ${target}${rest}\n`;
    })
    .join("");
}

async function processes(): Promise<string> {
  const { holdersOf, requestSockets } = await import("../node/requests/netlink-sockets.ts");
  const sockets = requestSockets();
  if (sockets.length === 0) throw new Error("No process receives the kernel's requests: no server runs.");
  const holders = holdersOf(new Set(sockets.map(({ inode }) => inode)));
  const lines = sockets.flatMap(({ port, queuedBytes, drops, inode }) => {
    const holder = holders.get(inode);
    const socket = `netlink port ${port}: ${queuedBytes} bytes are not read yet, ${drops} datagrams were dropped`;
    return holder === undefined
      ? [`${socket}, by a process that cannot be seen`]
      : [socket, ...processLines(holder.pid)];
  });
  return `${lines.join("\n")}\n`;
}

function processLines(pid: number): string[] {
  const read = (path: string) => attempt(() => readFileSync(`/proc/${pid}/${path}`, "utf8").trim());
  const words = read("cmdline")?.split("\0").join(" ");
  const threads = attempt(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  return [
    `  process ${pid}: ${words}`,
    `  program: ${attempt(() => readlinkSync(`/proc/${pid}/exe`))}`,
    ...(read("status") ?? "").split("\n").filter((line) => /^(State|VmRSS|VmLck|Threads|CapEff)/.test(line)),
    ...threads.flatMap((thread) => [
      `  thread ${thread} ${read(`task/${thread}/comm`)}: ${/^State:\s*(.*)$/m.exec(read(`task/${thread}/status`) ?? "")?.[1]}`,
      ...(read(`task/${thread}/stack`) ?? "").split("\n").map((line) => `    ${line}`),
    ]),
  ];
}

async function journal(): Promise<string> {
  const words = ["--unit=dm-ulog*", `--lines=${JOURNAL_LINES}`, "--no-pager", "--no-hostname", "--output=short-iso"];
  const text = await outputOf("journalctl", words, PROGRAM_LIMIT_MS);
  if (/^-- No entries --$/m.test(text) || text.trim() === "" || /No journal files/.test(text)) {
    throw new Error("The journal has nothing of a unit dm-ulog. If the server logs elsewhere, send that too.");
  }
  return text;
}

export function kernelLines(text: string): string {
  const lines = text.split("\n").filter((line) => KERNEL_LINE.test(line));
  return lines.length === 0 ? "The kernel's log has no such lines.\n" : `${lines.join("\n")}\n`;
}

function declaredParts(mirrorsDir: string): Part[] {
  const names = attempt(() => readdirSync(mirrorsDir).filter((name) => name.endsWith(".toml"))) ?? [];
  if (names.length === 0)
    return [missing("declared", "Files that declare mirrors", `There are none in ${mirrorsDir}.`)];
  return names.map((name) => ({
    name: `declared/${name}`,
    what: "The file that declares this mirror",
    make: async () => readFileSync(join(mirrorsDir, name)),
  }));
}

function traceParts(runtimeDir: string): Part[] {
  const crashes = crashDirectory(runtimeDir);
  const lost = lostFlightPath(runtimeDir);
  const names = attempt(() => readdirSync(crashes).filter((name) => name.endsWith(".pcapng"))) ?? [];
  return [
    flightPart(
      "flight-recorder.pcapng",
      "The server's last events: which regions of which mirror were written when",
      flightPath(runtimeDir),
    ),
    ...(existsSync(lost)
      ? [flightPart("flight-recorder-lost.pcapng", "The last events of a server that was killed", lost)]
      : []),
    ...names.map((name) => ({
      name: `crashes/${name}`,
      what: "The last events of a server that failed",
      make: async () => readFileSync(join(crashes, name)),
    })),
  ];
}

function flightPart(name: string, what: string, path: string): Part {
  return {
    name,
    what,
    make: async () => {
      const { readFlight } = await import("../node/recording/flight-recorder.ts");
      const flight = readFlight(path);
      if (flight === undefined) throw new Error(`There is nothing in ${path}: no server runs with a flight recorder.`);
      return flight;
    },
  };
}

function missing(name: string, what: string, why: string): Part {
  return { name, what, make: () => Promise.reject(new Error(why)) };
}

function mainPath(): string {
  return fileURLToPath(new URL("./main.js", import.meta.url));
}

function attempt<T>(what: () => T): T | undefined {
  try {
    return what();
  } catch {
    return undefined;
  }
}
