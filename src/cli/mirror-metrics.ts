// What dm-ulog metrics adds to the server's own metrics: mirrors by their names, as dm-ulog status knows them.

import { PrometheusText, type Sample } from "../node/control/prometheus.ts";
import type { LegStatus, ReportedMirror, StatusReport } from "./status-report.ts";

/** What is not known has no sample. */
export function mirrorMetrics({ mirrors }: Pick<StatusReport, "mirrors">): string {
  const text = new PrometheusText();
  const ofMirrors = (value: (mirror: ReportedMirror) => number | undefined): Sample[] =>
    mirrors.flatMap((mirror) => sampleOf({ mirror: mirror.name }, value(mirror)));
  const ofLegs = (value: (leg: LegStatus) => number | undefined): Sample[] =>
    mirrors.flatMap(({ name, legs }) => legs.flatMap((leg) => sampleOf({ mirror: name, leg: leg.name }, value(leg))));
  text.gauge(
    "dm_ulog_mirror_info",
    "Always 1; the label log is the UUID that the metrics of logs have.",
    mirrors.flatMap(({ name, log }) => sampleOf({ mirror: name, log: log?.uuid ?? "" }, log === null ? undefined : 1)),
  );
  text.gauge(
    "dm_ulog_mirror_up",
    "1 where the mirror does I/O; declared mirrors that do not have 0.",
    ofMirrors(({ state }) => (state === "unknown" ? undefined : Number(state === "up"))),
  );
  text.gauge(
    "dm_ulog_mirror_problems",
    "Problems that dm-ulog status shows of the mirror.",
    ofMirrors(({ problems }) => problems.length),
  );
  text.gauge(
    "dm_ulog_mirror_waiting",
    "1 where writes or the resync wait because of one of them.",
    ofMirrors(({ problems }) => Number(problems.some(({ isWaiting }) => isWaiting))),
  );
  text.gauge(
    "dm_ulog_leg_failed",
    "1 from a failure of the leg until the mirror is in sync again.",
    ofLegs(({ health }) => (health === null ? undefined : Number(health !== "alive"))),
  );
  text.gauge(
    "dm_ulog_leg_behind",
    "1 where the leg misses writes that others have.",
    ofLegs(({ isBehind }) => Number(isBehind)),
  );
  return text.toString();
}

function sampleOf(labels: Record<string, string>, value: number | undefined): Sample[] {
  return value === undefined ? [] : [{ labels, value }];
}
