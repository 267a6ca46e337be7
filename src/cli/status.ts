// dm-ulog status: every mirror by its name, once or again and again, for people or as JSON.

import { setTimeout as sleep } from "node:timers/promises";
import { toJson } from "../common/json.ts";
import type { Onlooker } from "../node/control/status.ts";
import type { HealthReading } from "../node/devices/leg-health.ts";
import { onlookerOf } from "./installation.ts";
import { jsonLine } from "./json-line.ts";
import { Picture } from "./progress-bars.ts";
import { type Look, lookAt, readHealth, readStatusFacts, readSurroundings, twoLooks } from "./status-facts.ts";
import { reportOf, type StatusFacts, type StatusReport } from "./status-report.ts";
import { statusText, watchLines } from "./status-text.ts";

export interface StatusOptions {
  runtimeDir: string;
  mirrorsDir: string;
  json?: boolean;
  watch?: boolean;
  uuids?: boolean;
}

const WATCH_INTERVAL_MS = 500;
/** A watch computes the rate of a resync from what was copied in this time, at least. */
const HISTORY_MS = 5000;
/** A watch asks for the health of legs in such intervals: that starts a process. */
const HEALTH_INTERVAL_MS = 5000;
/** The same where the kernel has not told it: processes that hang are not to become many. */
const HEALTH_RETRY_MS = 60_000;

/** Returns the exit status: 1 where no server answers. Throws a sentence where there is nothing to show either. */
export async function status(options: StatusOptions): Promise<number> {
  const onlooker = onlookerOf(options.runtimeDir);
  if (options.watch) await watch(onlooker, options);
  const report = shown(await readStatusFacts(onlooker, options.mirrorsDir));
  print(report, options);
  return report.server === null ? 1 : 0;
}

/** Throws the sentence where nothing is known but that no server answers. */
function shown(facts: StatusFacts): StatusReport {
  const report = reportOf(facts, new Date());
  if (report.serverError !== null && report.mirrors.length === 0) throw new Error(report.serverError);
  return report;
}

function print(report: StatusReport, { json, uuids }: StatusOptions): void {
  console.log(json ? jsonLine(report) : statusText(report, uuids));
}

/** Until it is interrupted: a picture on a terminal, what has changed in a pipe. */
async function watch(onlooker: Onlooker, options: StatusOptions): Promise<never> {
  const watcher = new Watcher(onlooker, options.mirrorsDir);
  if (options.json || !process.stdout.isTTY) {
    for (let before = ""; ; await sleep(WATCH_INTERVAL_MS)) {
      const report = shown(await watcher.look());
      const state = lastingState(report);
      if (state !== before) print(report, options);
      before = state;
    }
  }
  const picture = new Picture(process.stdout);
  process.once("SIGINT", () => process.exit(0));
  for (;;) {
    picture.draw(watchLines(shown(await watcher.look()), process.stdout.columns));
    await sleep(WATCH_INTERVAL_MS);
  }
}

/** Without what is another at each look. */
function lastingState({ server, serverError, mirrors, mirrorsError, legHealthError, logs }: StatusReport): string {
  const lasting = mirrors.map(({ sync, ...mirror }) => ({
    ...mirror,
    sync: sync && { ...sync, bytesPerSecond: null, secondsLeft: null },
  }));
  return toJson({ pid: server?.pid, serverError, lasting, mirrorsError, legHealthError, logs });
}

/** Looks again and again, and knows from earlier looks how fast a resync is. */
class Watcher {
  private history: Look[] = [];
  private health: HealthReading = { legs: new Map(), missing: undefined };
  private nextHealthAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly onlooker: Onlooker,
    private readonly mirrorsDir: string,
  ) {}

  async look(): Promise<StatusFacts> {
    const surroundings = await readSurroundings(this.mirrorsDir);
    const look = await lookAt(this.onlooker);
    if ("error" in look) {
      this.history = [];
      return { ...surroundings, server: look, health: { legs: new Map(), missing: look.error } };
    }
    this.history.push(look);
    // The first is the last that is old enough.
    while ((this.history[1]?.atMs ?? look.atMs) <= look.atMs - HISTORY_MS) this.history.shift();
    this.askForHealth(look, surroundings.mirrors);
    return { ...surroundings, server: twoLooks(this.history[0] as Look, look), health: this.health };
  }

  /** Its answer is of use for later looks. */
  private askForHealth({ atMs, status }: Look, mirrors: StatusFacts["mirrors"]): void {
    if (atMs < this.nextHealthAtMs) return;
    this.nextHealthAtMs = Number.POSITIVE_INFINITY;
    void readHealth(status, mirrors).then((health) => {
      this.health = health;
      this.nextHealthAtMs = performance.now() + (health.missing === undefined ? HEALTH_INTERVAL_MS : HEALTH_RETRY_MS);
    });
  }
}
