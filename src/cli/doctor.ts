// dm-ulog doctor: looks at a machine and says what to do. What it looks at is read by machine.ts; here is what it means.

import { setTimeout as sleep } from "node:timers/promises";
import type { LogDescription } from "../common/console.ts";
import type { MachineFacts, Mirror } from "../node/control/machine.ts";
import { isKeeper } from "../node/requests/netlink-sockets.ts";
import { onlookerOf } from "./installation.ts";
import { listenerFindings } from "./listener-findings.ts";
import { earlierOf, isBeingCopied, RESYNC_LOOK_MS } from "./resync-progress.ts";

export interface DoctorOptions {
  runtimeDir: string;
  json?: boolean;
}

export interface Finding {
  /** `fine`: nothing to do. `advice`: it works, but not as well as it could. `problem`: something does not work. */
  level: "fine" | "advice" | "problem";
  what: string;
  /** What to do, as a sentence or a command. */
  remedy?: string;
}

/** Header of a log device before its bits, in bytes. */
const LOG_HEADER_BYTES = 1024;

const LEVELS = ["fine", "advice", "problem"] as const;
const MARKS = { fine: "ok     ", advice: "advice ", problem: "PROBLEM" } as const;

/** Returns the exit status: 0 where all is fine, 1 with advice, 2 with a problem. */
export async function doctor({ runtimeDir, json }: DoctorOptions): Promise<number> {
  const findings = await examineMachine(runtimeDir);
  if (json) console.log(JSON.stringify(findings));
  else for (const line of findings.flatMap(findingLines)) console.log(line);
  return Math.max(...findings.map(({ level }) => LEVELS.indexOf(level)));
}

async function examineMachine(runtimeDir: string): Promise<Finding[]> {
  try {
    const { readMachine } = await import("../node/control/machine.ts");
    return examine(await readMachine(runtimeDir, onlookerOf(runtimeDir), () => sleep(RESYNC_LOOK_MS)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    return [
      {
        level: "problem",
        what: `A package that serving needs is not installed: ${(error as Error).message}`,
        remedy: "npm install --include=optional",
      },
    ];
  }
}

function findingLines({ level, what, remedy }: Finding): string[] {
  return [`${MARKS[level]}  ${what}`, ...(remedy === undefined ? [] : [`         → ${remedy}`])];
}

/** What the facts mean, the worst last. */
export function examine(facts: MachineFacts): Finding[] {
  const findings = [
    ...prerequisiteFindings(facts),
    ...serverFindings(facts),
    ...listenerFindings(facts),
    ...directoryFindings(facts),
    ...mirrorFindings(facts),
    ...logFindings(facts),
  ];
  return findings.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
}

function prerequisiteFindings({ missing, hasMirrorTarget }: MachineFacts): Finding[] {
  const findings: Finding[] = missing.map((what) => ({ level: "problem", what }));
  if (missing.length === 0) {
    findings.push({ level: "fine", what: "The kernel's module is loaded, and the privilege to serve it is there." });
  }
  if (hasMirrorTarget === false) {
    findings.push({
      level: "advice",
      what: "The kernel module dm-mirror is not loaded. The kernel loads it with the first mirror, where it can.",
      remedy: "sudo modprobe dm-mirror",
    });
  }
  return findings;
}

function serverFindings(facts: MachineFacts): Finding[] {
  const { server, listeners } = facts;
  const served = servedMirrors(facts);
  const findings: Finding[] = [];
  if ("error" in server) {
    const waiting = served.map(({ name }) => name).join(", ");
    findings.push(
      served.length > 0 && listeners.every(({ holder }) => isKeeper(holder))
        ? {
            level: "problem",
            what: `No server runs, and the writes of these mirrors wait for one: ${waiting}.`,
            remedy: "sudo dm-ulog serve",
          }
        : { level: "advice", what: server.error },
    );
  } else {
    const { pid, uptimeSeconds, version, logs } = server.after;
    findings.push({
      level: "fine",
      what: `dm-ulog ${version} serves this machine (process ${pid}, for ${uptimeSeconds} s) with ${logs.length} logs.`,
    });
    if (server.after.host === "node" && facts.swapMirrors.length > 0) {
      findings.push({
        level: "problem",
        what:
          `Swap lies on mirrors that the Node.js host serves (${facts.swapMirrors.join(", ")}): when memory runs out, the machine ` +
          "deadlocks.",
        remedy: "npm run build:native, then sudo dm-ulog serve --host native; or sudo swapoff",
      });
    }
    for (const { uuid, operation, seconds } of server.after.busyDevices) {
      findings.push({
        level: "problem",
        what: `The log device of log ${uuid} hangs: a ${operation} has taken ${seconds} s so far. Its mirror waits for it.`,
        remedy: "Make the device answer, or load the mirror's table anew with another log device (docs/operating.md)",
      });
    }
  }
  return findings;
}

function directoryFindings({ runtimeDirectory, server }: MachineFacts): Finding[] {
  if (runtimeDirectory === null) return [];
  const { uid, mode, stateFiles, crashes } = runtimeDirectory;
  const findings: Finding[] = [];
  if (uid !== 0 || (mode & 0o077) !== 0) {
    findings.push({
      level: "advice",
      what: `The runtime directory is of user ${uid} with mode ${mode.toString(8)}: others than root may look inside.`,
      remedy: "Stop the server, then: chown root: /run/dm-ulog && chmod 700 /run/dm-ulog",
    });
  }
  if ("error" in server && stateFiles > 0) {
    findings.push({
      level: "advice",
      what: `The state of ${stateFiles} logs of an earlier server is there: the next one goes on with them.`,
    });
  }
  if (crashes > 0) {
    findings.push({
      level: "advice",
      what: `${crashes} traces of failures are there.`,
      remedy: "Look at them with: dm-ulog inspect FILE; report what you find, then remove them",
    });
  }
  return findings;
}

function mirrorFindings(facts: MachineFacts): Finding[] {
  const { mirrors } = facts;
  if (!Array.isArray(mirrors)) return [{ level: "problem", what: mirrors.error, remedy: "sudo dm-ulog doctor" }];
  const findings: Finding[] = mirrors.flatMap((mirror) => [
    ...(mirror.isLive ? liveMirrorFindings(mirror, facts) : []),
    ...deviceFaultFindings(mirror),
  ]);
  findings.push(...sharedLogFindings(mirrors, facts));
  for (const { name, isLive } of mirrors) {
    if (isLive) continue;
    findings.push({
      level: "advice",
      what: `${name} has a table that was loaded and is not used yet.`,
      remedy: `dmsetup resume ${name}, or: dmsetup clear ${name}`,
    });
  }
  return findings;
}

/** What dm-ulog table would not have printed. */
function deviceFaultFindings({ name, isLive, deviceFaults }: Mirror): Finding[] {
  return deviceFaults.map((fault) => ({
    level: "problem",
    what: `${name}${isLive ? "" : " (the table that is not used yet)"}: ${fault}`,
    remedy: isLive
      ? `Stop writing to it, and make it anew of other devices: dmsetup remove ${name}, then dm-ulog table`
      : `dmsetup clear ${name}, then load what dm-ulog table prints`,
  }));
}

function sharedLogFindings(mirrors: Mirror[], { logDevices }: MachineFacts): Finding[] {
  const users = new Map<string, Set<string>>();
  for (const { name, logDevice } of mirrors) {
    const identity = logDevice === undefined ? undefined : logDevices[logDevice]?.identity;
    if (identity != null) users.set(identity, (users.get(identity) ?? new Set()).add(name));
  }
  return [...users.values()]
    .filter(({ size }) => size > 1)
    .map((names) => ({
      level: "problem",
      what: `The mirrors ${[...names].join(" and ")} have one log device: each overwrites the other's log.`,
      remedy: "Load a table with another log device for all but one of them: dm-ulog table",
    }));
}

/** What the kernel does when a leg fails. */
function legFailureFinding({ name, features }: Mirror): Finding[] {
  if (features.includes("keep_log")) return [];
  return [
    features.includes("handle_errors")
      ? {
          level: "advice",
          what: `${name} stops all writes when a leg fails, until dmeventd or somebody loads another table (handle_errors without keep_log).`,
          remedy:
            "Load a table that ends with: 2 handle_errors keep_log (what dm-ulog table prints), or see that dmeventd watches it",
        }
      : {
          level: "advice",
          what: `${name} ignores the errors of its legs: a leg that missed writes may count as in sync (no handle_errors).`,
          remedy: "Load a table that ends with: 2 handle_errors keep_log (what dm-ulog table prints)",
        },
  ];
}

function liveMirrorFindings(mirror: Mirror, { logDevices }: MachineFacts): Finding[] {
  const { name, uuid, logType, logDevice, options } = mirror;
  const findings: Finding[] = legFailureFinding(mirror);
  if (uuid === undefined) {
    const consequence = logType === "core" ? "After a reboot all of it is copied." : "";
    findings.push({
      level: "advice",
      what: `${name} keeps its log in the kernel (${logType}), not with a server: its table may have fallen back. ${consequence}`.trim(),
      remedy: `If a server is to keep it, load the table that dm-ulog table prints: dmsetup load ${name} …`,
    });
  } else if (options.includes("nosync") && logDevice === undefined) {
    findings.push({
      level: "advice",
      what: `${name} was made with nosync and a log in memory: after a power cut its legs count as identical whatever they hold.`,
      remedy: "Load a table without nosync, or one with a log device",
    });
  }
  if (logDevice === undefined) return findings;
  const device = logDevices[logDevice];
  if (device === undefined) return findings;
  const needed = LOG_HEADER_BYTES + Math.ceil(regionCountOf(mirror) / 8);
  if (device.error !== null || device.sizeBytes === null) {
    findings.push({
      level: "problem",
      what: `The log device ${logDevice} of ${name} cannot be read: ${device.error}.`,
      remedy: "Repair it, or load a table with another log device",
    });
  } else if (device.sizeBytes < needed) {
    findings.push({
      level: "problem",
      what: `The log device ${logDevice} of ${name} has ${device.sizeBytes} bytes, and its log needs ${needed}.`,
      remedy: "Load a table with a larger log device, or with larger regions: dm-ulog plan",
    });
  } else if (device.regionCount !== regionCountOf(mirror)) {
    const holds = device.regionCount === null ? "no log" : `the log of a mirror of ${device.regionCount} regions`;
    findings.push({
      level: "problem",
      what: `The log device ${logDevice} holds ${holds}; ${name} has ${regionCountOf(mirror)} regions.`,
      remedy: "See that no other mirror uses it: dmsetup table",
    });
  } else {
    findings.push({ level: "fine", what: `The log device ${logDevice} of ${name} holds its log.` });
  }
  return findings;
}

function logFindings(facts: MachineFacts): Finding[] {
  const { server } = facts;
  if ("error" in server) return [];
  const { before, after } = server;
  return after.logs.flatMap((log) => {
    const earlier = earlierOf(log, before.logs);
    const mirror = servedMirrors(facts).find(({ uuid }) => uuid === log.uuid)?.name ?? "M";
    return [logFinding(log, earlier ?? log, mirror)];
  });
}

/** What one log of the server tells, by two looks at it. */
function logFinding(log: LogDescription, earlier: LogDescription, mirror: string): Finding {
  const { uuid, device, outOfSyncRegions, failedRegions, regionCount } = log;
  if (device?.error != null) {
    return {
      level: "problem",
      what: `The log device of ${uuid} has failed (${device.error}): writes to ${mirror} wait, or fail where its table says keep_log.`,
      remedy: `Repair or replace it, then: dmsetup table ${mirror} | dmsetup load ${mirror} && dmsetup suspend --noflush ${mirror} && dmsetup resume ${mirror}`,
    };
  }
  if (log.state !== "resumed") {
    return {
      level: "advice",
      what: `${mirror} (log ${uuid}) is ${log.state}: it does no I/O.`,
      remedy: `dmsetup resume ${mirror}`,
    };
  }
  if (outOfSyncRegions === 0) return { level: "fine", what: `${mirror} (log ${uuid}) is in sync.` };
  const share = `${outOfSyncRegions} of ${regionCount} regions`;
  if (isBeingCopied(log, earlier)) {
    return { level: "fine", what: `${mirror} (log ${uuid}) is being resynced: ${share} are left.` };
  }
  if (failedRegions > 0) {
    return {
      level: "problem",
      what: `${mirror} (log ${uuid}): ${failedRegions} regions could not be copied, and ${share} are out of sync. A leg fails.`,
      remedy: `See which: dmsetup status ${mirror}, and the kernel's log. Replace it by loading another table`,
    };
  }
  return {
    level: "problem",
    what:
      `${mirror} (log ${uuid}): ${share} are out of sync and nobody copies them. The kernel takes the mirror for in sync ` +
      "and does not ask again: writes go to the first leg alone.",
    remedy: `dmsetup suspend ${mirror} && dmsetup resume ${mirror}`,
  };
}

function servedMirrors({ mirrors }: MachineFacts): Mirror[] {
  return Array.isArray(mirrors) ? mirrors.filter(({ uuid, isLive }) => uuid !== undefined && isLive) : [];
}

function regionCountOf({ lengthSectors, regionSizeSectors }: Mirror): number {
  return Math.ceil(lengthSectors / regionSizeSectors);
}
