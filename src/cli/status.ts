// dm-ulog status: every log of the running server, once, as JSON, or with progress bars while a resync runs.

import { setTimeout as sleep } from "node:timers/promises";
import type { LogDescription } from "../common/console.ts";
import { toJson } from "../common/json.ts";
import { printable } from "../common/printable.ts";
import type { Status } from "../node/control/control-socket.ts";
import { nameOf } from "../node/control/listener-watch.ts";
import type { Onlooker } from "../node/control/status.ts";
import { onlookerOf } from "./installation.ts";
import { bar, Picture } from "./progress-bars.ts";
import { formatSectors } from "./sizes.ts";

export interface StatusOptions {
  runtimeDir: string;
  json?: boolean;
  watch?: boolean;
}

const WATCH_INTERVAL_MS = 500;
const NO_LOGS = "No logs: no mirror uses this server yet.";
/** The request thread shows itself ten times in a second. */
const SILENT_SECONDS = 5;

export async function status(options: StatusOptions): Promise<void> {
  const onlooker = onlookerOf(options.runtimeDir);
  if (options.watch) await watch(onlooker, options.json === true);
  else print(await onlooker.status(), options.json === true);
}

function print(current: Status, json: boolean): void {
  console.log(json ? toJson(current) : statusText(current));
}

/** The table of logs that `dm-ulog status` prints. */
export function statusText(current: Status): string {
  const host = current.host === "native" ? "native host, " : "";
  const lines = [`dm-ulog ${current.version}, ${host}process ${current.pid}, serving for ${current.uptimeSeconds} s`];
  lines.push(...warningLines(current));
  if (current.logs.length === 0) return [...lines, NO_LOGS].join("\n");
  const rows = current.logs.map((log) => [
    log.uuid,
    log.type,
    log.state,
    `${percent(log)} % (${log.inSyncRegions}/${log.regionCount})`,
    String(log.dirtyRegions),
    String(log.outOfSyncRegions),
    formatSectors(log.regionSizeSectors),
    deviceText(log),
    log.recoveringRegion === null ? "" : `region ${log.recoveringRegion}`,
  ]);
  const head = ["UUID", "type", "state", "in sync", "dirty", "out of sync", "region size", "log device", "resyncing"];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] as string).length)));
  for (const row of [head, ...rows]) {
    lines.push(
      row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join("  ")
        .trimEnd(),
    );
  }
  for (const { uuid, device } of current.logs) {
    if (device?.error == null) continue;
    lines.push(
      `The log device of ${uuid} has failed (${device.error}). Its writes wait (with keep_log they fail) until its table is loaded anew.`,
      "Repair or replace the device, then, with the name of the mirror for M (--noflush, or the writes that wait get errors):",
      "  dmsetup table M | dmsetup load M && dmsetup suspend --noflush M && dmsetup resume M",
    );
  }
  return lines.join("\n");
}

function warningLines({ overruns, others, busyDevices, silentSeconds }: Status): string[] {
  const lines: string[] = [];
  if (silentSeconds > SILENT_SECONDS)
    lines.push(
      `Its request thread was last seen at work ${Math.round(silentSeconds)} s ago: it is stuck, and mirrors wait.`,
    );
  for (const { uuid, operation, seconds } of busyDevices)
    lines.push(
      `The log device of ${uuid} hangs: a ${operation} has taken ${seconds} s so far. Its mirror waits, the others do not.`,
    );
  if (overruns > 0)
    lines.push(`Its receive buffer was full ${overruns} times: requests were lost, and asked for again.`);
  for (const listener of others.listeners) {
    const drops = listener.drops > 0 ? ` and dropped ${listener.drops} of them` : " too";
    lines.push(`${nameOf(listener)} receives the kernel's requests${drops}. See: sudo dm-ulog doctor`);
  }
  if (others.toCheck.length > 0) {
    lines.push(
      `Legs may differ although the logs say in sync, so check the mirrors of: ${others.toCheck.join(", ")}. See: sudo dm-ulog doctor`,
    );
  }
  return lines;
}

function deviceText({ device }: LogDescription): string {
  if (device === null) return "memory";
  const name = device.major === 0 && device.minor === 0 ? "file" : `${device.major}:${device.minor}`;
  return device.error === null ? name : `${name} FAILED`;
}

/** Rounded down, so that 100.0 means every region. */
function percent(log: LogDescription): string {
  return (Math.floor((log.inSyncRegions / log.regionCount) * 1000) / 10).toFixed(1);
}

/** Shows the logs until it is interrupted: a bar for each on a terminal, a line for each change in a pipe. */
async function watch(onlooker: Onlooker, json: boolean): Promise<never> {
  if (json || !process.stdout.isTTY) {
    for (let before = ""; ; await sleep(WATCH_INTERVAL_MS)) {
      const current = await onlooker.status();
      const text = json ? toJson(current.logs) : statusText({ ...current, uptimeSeconds: 0 });
      if (text !== before) print(current, json);
      before = text;
    }
  }
  const picture = new Picture(process.stdout);
  process.once("SIGINT", () => process.exit(0));
  for (;;) {
    picture.draw(barLines((await onlooker.status()).logs));
    await sleep(WATCH_INTERVAL_MS);
  }
}

/** A line for each log, or a sentence where there is none. */
function barLines(logs: readonly LogDescription[]): string[] {
  if (logs.length === 0) return [NO_LOGS];
  const width = Math.max(...logs.map(({ uuid }) => uuid.length));
  return logs.map((log) => {
    const name = printable(log.uuid).padEnd(width);
    const work = log.recoveringRegion === null ? "" : `, resyncing region ${log.recoveringRegion}`;
    const counts = `${log.inSyncRegions}/${log.regionCount} in sync, ${log.dirtyRegions} dirty`;
    return `${name}  ${bar(log.inSyncRegions, log.regionCount)} ${percent(log).padStart(5)} %  ${counts}${work}`;
  });
}
