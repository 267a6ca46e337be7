// The systemd unit of a mirror, dm-ulog-mirror@NAME.service. It brings the mirror up at boot. systemd must also know of a mirror that was
// brought up by hand: at shutdown it would else stop the server while the mirror's file system is still mounted, and the last writes
// would wait for nobody.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { MIRRORS_DIRECTORY_DEFAULT } from "../node/mirrors/mirror-files.ts";

export const MIRROR_UNIT = "dm-ulog-mirror@.service";
export const MONITOR_UNIT = "dm-ulog-monitor.service";
/** The unit sets it for the commands that it runs: systemd waits for them, and they must not wait for systemd. */
const IN_UNIT = "DM_ULOG_UNIT";
/** Where to look. A test has its own. */
export const THIS_SYSTEM = {
  /** sd_booted(3). */
  whereSystemdRuns: "/run/systemd/system",
  /** systemd.unit(5). */
  unitFolders: [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
  ],
};
export type System = typeof THIS_SYSTEM;

/** Longer than the unit's own limits. */
const TIME_LIMIT_MS = 180_000;

const run = promisify(execFile);

/** The unit of a mirror. Of the characters that a name may have, only - needs an escape there (systemd-escape). */
export function unitOf(name: string): string {
  return MIRROR_UNIT.replace("@", `@${name.replaceAll("-", "\\x2d")}`);
}

/** Has systemd bring the mirror up at boot, and know that it is up. Returns a sentence. */
export async function enableUnit(name: string, mirrorsDir: string, system = THIS_SYSTEM): Promise<string> {
  if (!isSystemdRunning(system))
    return `Nothing brings it up at boot: systemd does not run here. At boot, type: dm-ulog up ${name}`;
  if (mirrorsDir !== MIRRORS_DIRECTORY_DEFAULT) {
    return `Nothing brings it up at boot: its file is not in ${MIRRORS_DIRECTORY_DEFAULT}.`;
  }
  if (!isInstalled(MIRROR_UNIT, system)) {
    return `Nothing brings it up at boot: there is no ${MIRROR_UNIT}. To have it, type:
  dm-ulog unit --mirrors | sudo tee /etc/systemd/system/${MIRROR_UNIT}
  sudo systemctl daemon-reload && sudo systemctl enable --now '${unitOf(name)}'`;
  }
  const problem = await systemctl("enable", "--now", unitOf(name));
  return problem ?? `systemd brings it up at boot: ${unitOf(name)}`;
}

/**
 * Has the monitor watch mirrors from the first one on: who has disabled it since is not overruled. Returns a sentence where there is
 * something to say, undefined where systemd does not bring mirrors up at all.
 */
export async function enableMonitor(
  isFirst: boolean,
  mirrorsDir: string,
  system = THIS_SYSTEM,
): Promise<string | undefined> {
  if (!isSystemdRunning(system) || mirrorsDir !== MIRRORS_DIRECTORY_DEFAULT) return undefined;
  if (!isInstalled(MONITOR_UNIT, system)) {
    return `Nothing watches it: there is no ${MONITOR_UNIT}. To have it, type:
  dm-ulog unit --monitor | sudo tee /etc/systemd/system/${MONITOR_UNIT}
  sudo systemctl daemon-reload && sudo systemctl enable --now ${MONITOR_UNIT}`;
  }
  if ((await systemctl("is-enabled", "--quiet", MONITOR_UNIT)) === undefined) return undefined;
  if (!isFirst) return `Nothing watches it. To have it watched, type: sudo systemctl enable --now ${MONITOR_UNIT}`;
  return (await systemctl("enable", "--now", MONITOR_UNIT)) ?? `systemd has it watched: ${MONITOR_UNIT}`;
}

/** The contrary, of a mirror that is down. Returns a sentence where that failed. */
export function disableUnit(name: string, mirrorsDir: string, system = THIS_SYSTEM): Promise<string | undefined> {
  return tell(["disable", "--now"], [name], mirrorsDir, system);
}

/** Tells systemd of mirrors that were brought up by hand. Returns a sentence where that failed. */
export function startUnits(
  names: readonly string[],
  mirrorsDir: string,
  system = THIS_SYSTEM,
): Promise<string | undefined> {
  return tell(["start"], names, mirrorsDir, system);
}

/** Tells systemd of mirrors that were taken down by hand. Returns a sentence where that failed. */
export function stopUnits(
  names: readonly string[],
  mirrorsDir: string,
  system = THIS_SYSTEM,
): Promise<string | undefined> {
  return tell(["stop"], names, mirrorsDir, system);
}

async function tell(
  words: string[],
  names: readonly string[],
  mirrorsDir: string,
  system: System,
): Promise<string | undefined> {
  if (names.length === 0 || mirrorsDir !== MIRRORS_DIRECTORY_DEFAULT) return undefined;
  if (process.env[IN_UNIT] !== undefined || !isSystemdRunning(system) || !isInstalled(MIRROR_UNIT, system))
    return undefined;
  return systemctl(...words, ...names.map(unitOf));
}

function isSystemdRunning({ whereSystemdRuns }: System): boolean {
  return existsSync(whereSystemdRuns);
}

function isInstalled(unit: string, { unitFolders }: System): boolean {
  return unitFolders.some((folder) => existsSync(join(folder, unit)));
}

async function systemctl(...words: string[]): Promise<string | undefined> {
  try {
    await run("systemctl", words, { timeout: TIME_LIMIT_MS });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return `systemctl ${words.join(" ")} has failed: ${(stderr || message).trim()}`;
  }
}
