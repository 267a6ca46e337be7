// What is known of each mirror, put together from four sources: the kernel's tables, the server's logs, the files that declare mirrors,
// and the kernel's word on legs. `dm-ulog status --json` prints it as it stands here; docs/status-json.md describes each field.
//
// Each source may be missing, and the rest is told all the same. What is not known is null, and never guessed.

import type { LogDescription } from "../common/console.ts";
import type { Status } from "../node/control/control-socket.ts";
import type { Mirror } from "../node/control/machine.ts";
import type { HealthReading, LegCondition } from "../node/devices/leg-health.ts";
import type { MirrorFile } from "../node/mirrors/mirror-file.ts";
import type { MirrorState } from "./declared.ts";
import { earlierOf, isBeingCopied, RESYNC_LOOK_MS, resyncRate } from "./resync-progress.ts";
import { parseSectors, SECTOR_BYTES } from "./sizes.ts";

/** Of StatusReport: raised when a field goes away or changes its meaning. */
export const SCHEMA_VERSION = 1;

/** The request thread shows itself ten times in a second. */
export const SILENT_SECONDS = 5;

/** A mirror as a table of the kernel has it. */
export type KernelMirror = Omit<Mirror, "deviceFaults">;

/** A file that declares a mirror. */
export interface DeclaredFacts {
  name: string;
  path: string;
  /**
   * With what the kernel has in its place, null where it cannot be asked, which of its devices are missing, and which leg of it has which
   * numbers, a stand-in's where one is in its place; or the sentences why the file cannot be used.
   */
  found:
    | { mirror: MirrorFile; state: MirrorState | null; missing: string[]; legByNumbers: ReadonlyMap<string, string> }
    | { error: string };
}

export interface StatusFacts {
  /** Two looks at the server, which may be the same; or the sentence why there is none. */
  server: { before: Status; after: Status; seconds: number } | { error: string };
  mirrors: KernelMirror[] | { error: string };
  declared: DeclaredFacts[];
  health: HealthReading;
  /** Name of the device with these numbers, or of a path the path itself; and whether it is there. */
  device(name: string): { name: string; numbers: string | null; isPresent: boolean };
}

export const PROBLEM_KINDS = [
  "no-server",
  "server-stuck",
  "no-log",
  "log-not-ready",
  "file-unusable",
  "differs",
  "device-missing",
  "unfinished",
  "suspended",
  "inactive-table",
  "log-device-failed",
  "log-device-hangs",
  "leg-failed",
  "regions-failed",
  "resync-stands-still",
  "legs-may-differ",
] as const;

export interface Problem {
  kind: (typeof PROBLEM_KINDS)[number];
  /** Whether writes or the resync wait because of it. */
  isWaiting: boolean;
  /** Sentences for a person. */
  what: string;
  /** What to type, or null. */
  remedy: string | null;
}

export interface LegStatus {
  name: string;
  numbers: string | null;
  offsetBytes: number;
  isPresent: boolean;
  isBehind: boolean;
  health: LegCondition | null;
}

export interface MirrorLog {
  uuid: string;
  luid: bigint | null;
  type: string;
  device: string | null;
  deviceState: "alive" | "failed" | "hangs" | null;
  waitingRequests: number | null;
}

export interface MirrorSync {
  regionSizeBytes: number;
  regionCount: number;
  inSyncRegions: number;
  outOfSyncRegions: number;
  dirtyRegions: number;
  failedRegions: number;
  isBeingCopied: boolean;
  bytesPerSecond: number | null;
  secondsLeft: number | null;
}

export interface ReportedMirror {
  name: string;
  /** `other`: the kernel has something else by this name. `unknown`: the kernel, or the file, could not be read. */
  state: "up" | "suspended" | "unfinished" | "down" | "other" | "unknown";
  isDeclared: boolean;
  file: string | null;
  sizeBytes: number | null;
  legs: LegStatus[];
  log: MirrorLog | null;
  /** Null where no server tells. */
  sync: MirrorSync | null;
  problems: Problem[];
}

export interface StatusReport {
  schemaVersion: typeof SCHEMA_VERSION;
  /** UTC. */
  time: string;
  server: Omit<Status, "logs"> | null;
  serverError: string | null;
  mirrors: ReportedMirror[];
  mirrorsError: string | null;
  legHealthError: string | null;
  logs: LogDescription[];
}

export function reportOf(facts: StatusFacts, now: Date): StatusReport {
  const { server, mirrors, health } = facts;
  const isAnswering = !("error" in server);
  const { logs, ...rest } = isAnswering ? server.after : { logs: [] };
  return {
    schemaVersion: SCHEMA_VERSION,
    time: now.toISOString(),
    server: isAnswering ? (rest as Omit<Status, "logs">) : null,
    serverError: isAnswering ? null : server.error,
    mirrors: mirrorStatuses(facts),
    mirrorsError: Array.isArray(mirrors) ? null : mirrors.error,
    legHealthError: health.missing ?? null,
    logs,
  };
}

/** Mirrors with a userspace log and mirrors that are declared, by name. */
function mirrorStatuses(facts: StatusFacts): ReportedMirror[] {
  const tables = Array.isArray(facts.mirrors) ? facts.mirrors : [];
  const declared = new Map(facts.declared.map((one) => [one.name, one]));
  const names = new Set([...tables.flatMap(({ name, uuid }) => (uuid === undefined ? [] : name)), ...declared.keys()]);
  return [...names].sort().map((name) => {
    const ofName = tables.filter((table) => table.name === name);
    const live = ofName.find(({ isLive }) => isLive);
    const inactive = ofName.find(({ isLive }) => !isLive);
    return mirrorStatus(name, { live, inactive, declared: declared.get(name) }, facts);
  });
}

interface Sources {
  live: KernelMirror | undefined;
  inactive: KernelMirror | undefined;
  declared: DeclaredFacts | undefined;
}

function mirrorStatus(name: string, sources: Sources, facts: StatusFacts): ReportedMirror {
  const { live, inactive, declared } = sources;
  const file = declared === undefined || "error" in declared.found ? undefined : declared.found.mirror;
  const state = stateOfMirror(sources, facts);
  const legHealth = live === undefined ? undefined : facts.health.legs.get(name);
  const isLogOfTable = live?.uuid !== undefined;
  const log = isLogOfTable ? newestInUse(live.uuid as string, facts) : undefined;
  const status: ReportedMirror = {
    name,
    state,
    isDeclared: declared !== undefined,
    file: declared?.path ?? null,
    sizeBytes: sizeOf(live, file),
    legs: (live === undefined ? fileLegs(file) : tableLegs(live)).map((place, index) => ({
      ...legOf(place, declared, facts),
      health: legHealth?.[index] ?? null,
    })),
    log: logOf(live, file, log, facts),
    sync: log === undefined || log.state === "making" ? null : syncOf(log, facts),
    problems: [],
  };
  status.problems.push(
    ...fileProblems(name, sources),
    ...tableProblems(status, inactive),
    ...(isLogOfTable ? logProblems(status, live, log, facts) : []),
    ...legProblems(status, live),
  );
  return status;
}

function stateOfMirror({ live, declared }: Sources, { mirrors }: StatusFacts): ReportedMirror["state"] {
  if (live !== undefined) return live.isSuspended ? "suspended" : "up";
  if (!Array.isArray(mirrors)) return "unknown";
  if (declared === undefined) return "unfinished";
  if ("error" in declared.found) return "unknown";
  const { state } = declared.found;
  if (state === null) return "unknown";
  if (state.state === "unfinished") return "unfinished";
  return state.state === "down" ? "down" : "other";
}

function sizeOf(live: KernelMirror | undefined, file: MirrorFile | undefined): number | null {
  if (live !== undefined) return live.lengthSectors * SECTOR_BYTES;
  return file === undefined ? null : parseSectors(file.size, "Size") * SECTOR_BYTES;
}

interface LegPlace {
  /** In the file, with its offset; undefined in a table. */
  leg?: string;
  device: string;
  offsetSectors: number;
}

/** A leg that is not there has another device in its place in the table, on which everything fails. */
function legOf(
  { leg, device, offsetSectors }: LegPlace,
  declared: DeclaredFacts | undefined,
  facts: StatusFacts,
): Omit<LegStatus, "health"> {
  const found = declared === undefined || "error" in declared.found ? undefined : declared.found;
  const seen = facts.device(device);
  const ofFile = leg ?? found?.legByNumbers.get(seen.numbers ?? device);
  const isMissing = ofFile !== undefined && found?.missing.includes(ofFile) === true;
  const named = isMissing ? { name: placeOf(ofFile).device, numbers: null, isPresent: false } : seen;
  return {
    ...named,
    isBehind: ofFile !== undefined && found?.mirror.behind.includes(ofFile) === true,
    offsetBytes: offsetSectors * SECTOR_BYTES,
  };
}

function tableLegs({ legs, legOffsetsSectors }: KernelMirror): LegPlace[] {
  return legs.map((device, index) => ({ device, offsetSectors: legOffsetsSectors[index] ?? 0 }));
}

function fileLegs(file: MirrorFile | undefined): LegPlace[] {
  return (file?.legs ?? []).map(placeOf);
}

/** In a file an offset has its unit: names in /dev/disk/by-path may end in a colon and a number. */
function placeOf(leg: string): LegPlace {
  const [, device = leg, offset = "0s"] = /^(.+):([0-9]+[skmgt])$/i.exec(leg) ?? [];
  return { leg, device, offsetSectors: /^0+[skmgt]$/i.test(offset) ? 0 : parseSectors(offset, "Offset") };
}

/** While a table is reloaded two logs have one UUID: that of the table which waits is created, and not resumed yet. */
function newestInUse(uuid: string, { server }: StatusFacts): LogDescription | undefined {
  if ("error" in server) return undefined;
  const logs = server.after.logs.filter((log) => log.uuid === uuid);
  return logs.filter(({ state }) => state !== "created").at(-1) ?? logs.at(-1);
}

function logOf(
  live: KernelMirror | undefined,
  file: MirrorFile | undefined,
  log: LogDescription | undefined,
  { server, device }: StatusFacts,
): MirrorLog | null {
  const uuid = live === undefined ? file?.uuid : live.uuid;
  const logDevice = live === undefined ? file?.logDevice : live.logDevice;
  const type = live?.logType ?? file?.logType ?? (logDevice === undefined ? "clustered-core" : "clustered-disk");
  if (uuid === undefined) return null;
  const isBusy = !("error" in server) && server.after.busyDevices.some((busy) => busy.uuid === uuid);
  const found = log?.device ?? null;
  return {
    uuid,
    luid: log?.luid ?? null,
    type,
    device: logDevice === undefined ? null : device(logDevice).name,
    deviceState: isBusy ? "hangs" : found === null ? null : found.error === null ? "alive" : "failed",
    waitingRequests: found?.waitingRequests ?? null,
  };
}

function syncOf(log: LogDescription, { server }: StatusFacts): MirrorSync {
  const { before, seconds } = server as Exclude<StatusFacts["server"], { error: string }>;
  const earlier = earlierOf(log, before.logs) ?? log;
  const regionSizeBytes = log.regionSizeSectors * SECTOR_BYTES;
  const rate = log.outOfSyncRegions === 0 ? undefined : resyncRate(log, earlier, seconds);
  return {
    regionSizeBytes,
    regionCount: log.regionCount,
    inSyncRegions: log.inSyncRegions,
    outOfSyncRegions: log.outOfSyncRegions,
    dirtyRegions: log.dirtyRegions,
    failedRegions: log.failedRegions,
    isBeingCopied: log.outOfSyncRegions > 0 && isBeingCopied(log, earlier),
    bytesPerSecond: rate === undefined ? null : Math.round(rate),
    secondsLeft: rate === undefined ? null : Math.round((log.outOfSyncRegions * regionSizeBytes) / rate),
  };
}

function fileProblems(name: string, { live, declared }: Sources): Problem[] {
  if (declared === undefined) return [];
  const { found, path } = declared;
  if ("error" in found) {
    return [{ kind: "file-unusable", isWaiting: false, what: found.error, remedy: `Correct the file: ${path}` }];
  }
  const { state, missing } = found;
  const problems: Problem[] = [];
  if (state?.state === "differs") {
    const isMirror = live !== undefined;
    problems.push({
      kind: "differs",
      isWaiting: false,
      what: [
        isMirror ? `${name} differs from its file.` : `The kernel has something else by the name ${name}.`,
        ...state.differences,
      ].join(" "),
      remedy: isMirror ? `dm-ulog down ${name} && dm-ulog up ${name}, or change ${path}` : null,
    });
  }
  if (state?.state === "down" && missing.length > 0) {
    const are = missing.length === 1 ? "is" : "are";
    problems.push({
      kind: "device-missing",
      isWaiting: false,
      what: `${name} cannot be brought up: ${missing.join(" and ")} ${are} not there.`,
      remedy: `To do without legs that are not there: dm-ulog up --degraded ${name}`,
    });
  }
  return problems;
}

function tableProblems({ name, state, isDeclared }: ReportedMirror, inactive: KernelMirror | undefined): Problem[] {
  if (state === "unfinished") {
    const remedy = isDeclared ? `dm-ulog up ${name}` : `dmsetup resume ${name}, or: dmsetup remove ${name}`;
    return [{ kind: "unfinished", isWaiting: false, what: `${name} was made and never started.`, remedy }];
  }
  const problems: Problem[] = [];
  if (state === "suspended") {
    const what = `${name} is suspended: whoever reads or writes it waits.`;
    problems.push({ kind: "suspended", isWaiting: true, what, remedy: `dmsetup resume ${name}` });
  }
  if (inactive !== undefined) {
    problems.push({
      kind: "inactive-table",
      isWaiting: false,
      what: `${name} has a table that was loaded and is not used yet.`,
      remedy: `dmsetup resume ${name}, or: dmsetup clear ${name}`,
    });
  }
  return problems;
}

function logProblems(
  { name, state, isDeclared, legs, log: ofMirror }: ReportedMirror,
  { features }: KernelMirror,
  log: LogDescription | undefined,
  { server }: StatusFacts,
): Problem[] {
  const waiting = (kind: Problem["kind"], what: string, remedy: string | null): Problem => ({
    ...{ kind, isWaiting: true, what, remedy },
  });
  if ("error" in server) {
    return [waiting("no-server", `The writes of ${name} wait for a server.`, "sudo dm-ulog serve")];
  }
  const { after, seconds } = server;
  const problems: Problem[] = [];
  if (after.silentSeconds > SILENT_SECONDS) {
    problems.push(waiting("server-stuck", `${name} waits for the server, which is stuck.`, "sudo dm-ulog doctor"));
  }
  for (const { operation, seconds: busy } of after.busyDevices.filter(({ uuid }) => uuid === ofMirror?.uuid)) {
    problems.push(
      waiting(
        "log-device-hangs",
        `The log device of ${name} hangs: a ${operation} has taken ${busy} s so far. Its mirror waits, the others do not.`,
        "Make the device answer, or fail (docs/operating.md, A log device hangs)",
      ),
    );
  }
  if (after.others.toCheck.includes(ofMirror?.uuid ?? "")) {
    problems.push({
      kind: "legs-may-differ",
      isWaiting: false,
      what: `The legs of ${name} may differ although its log says in sync: another program kept requests from the server.`,
      remedy: "sudo dm-ulog doctor",
    });
  }
  if (log === undefined) {
    const what = `The server has no log of ${name} yet. The kernel gives it one when it asks next.`;
    return [...problems, { kind: "no-log", isWaiting: false, what, remedy: "sudo dm-ulog doctor" }];
  }
  if (log.state === "making") {
    return [...problems, waiting("log-not-ready", `The server makes the log of ${name}: what asks it waits.`, null)];
  }
  if (log.device?.error != null) problems.push(logFailure(name, isDeclared, features, log.device.error));
  // Where a leg has failed, that is why.
  const hasLegs = legs.every(({ health }) => health === null || health === "alive");
  if (state === "up" && log.state === "resumed" && log.device?.error == null && hasLegs) {
    problems.push(...resyncProblems(name, log, after, earlierOf(log, server.before.logs) ?? log, seconds));
  }
  return problems;
}

function logFailure(name: string, isDeclared: boolean, features: readonly string[], error: string): Problem {
  const isHandled = features.includes("handle_errors");
  const consequence = features.includes("keep_log")
    ? "Writes fail with an I/O error"
    : isHandled
      ? "Writes wait"
      : "Writes go on without marks";
  return {
    kind: "log-device-failed",
    isWaiting: isHandled && !features.includes("keep_log"),
    what: `The log device of ${name} has failed (${error}). ${consequence} until the table of the mirror is loaded anew.`,
    remedy:
      `${isDeclared ? `Replace the device: dm-ulog change-log ${name} NEW; or repair it` : "Repair or replace the device"}, ` +
      "then (--noflush, or the writes that wait get errors): " +
      `dmsetup table ${name} | dmsetup load ${name} && dmsetup suspend --noflush ${name} && dmsetup resume ${name}`,
  };
}

function resyncProblems(
  name: string,
  log: LogDescription,
  after: Status,
  earlier: LogDescription,
  seconds: number,
): Problem[] {
  const { outOfSyncRegions, regionCount, failedRegions } = log;
  if (outOfSyncRegions === 0 || isBeingCopied(log, earlier)) return [];
  const share = `${outOfSyncRegions} of ${regionCount} regions`;
  if (failedRegions > 0) {
    return [
      {
        kind: "regions-failed",
        isWaiting: true,
        what: `${failedRegions} regions of ${name} could not be copied, and ${share} are out of sync: a leg fails.`,
        remedy: `Repair or replace the leg, then: dmsetup suspend ${name} && dmsetup resume ${name}`,
      },
    ];
  }
  if (seconds * 1000 < RESYNC_LOOK_MS || after.busyDevices.some(({ uuid }) => uuid === log.uuid)) return [];
  return [
    {
      kind: "resync-stands-still",
      isWaiting: true,
      what: `${share} of ${name} are out of sync and nobody copies them: writes go to the first leg alone.`,
      remedy: `dmsetup suspend ${name} && dmsetup resume ${name}`,
    },
  ];
}

/** What has failed, in words that follow a leg's name. */
export const HEALTH_WORDS: Record<Exclude<LegCondition, "alive">, string> = {
  "write-failed": "a write failed",
  "copy-failed": "the resync failed on it",
  "read-failed": "a read failed",
  "flush-failed": "a flush failed",
  failed: "failed",
};

function legProblems({ name, legs, isDeclared }: ReportedMirror, live: KernelMirror | undefined): Problem[] {
  const isHeld = live?.features.includes("handle_errors") === true && !live.features.includes("keep_log");
  return legs.flatMap(({ name: leg, health }) => {
    if (health === null || health === "alive") return [];
    const isWaiting = isHeld && health === "write-failed";
    return {
      kind: "leg-failed",
      isWaiting,
      what: `The leg ${leg} of ${name} has failed: ${HEALTH_WORDS[health]}.${isWaiting ? " Writes wait until another table is loaded." : ""}`,
      remedy:
        `Replace it${isDeclared ? ` (dm-ulog replace ${name} ${leg} NEW)` : ""}; or repair it, then have it copied what it missed: ` +
        (isWaiting
          ? `dmsetup table ${name} | dmsetup load ${name} && dmsetup suspend --noflush ${name} && dmsetup resume ${name}`
          : `dmsetup suspend ${name} && dmsetup resume ${name}`),
    };
  });
}
