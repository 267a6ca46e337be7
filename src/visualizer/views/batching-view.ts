// Shows, in numbers and pictures, how much is saved by collecting marks into few writes.

import type { Abi } from "../../common/abi.ts";
import type { LogMemory } from "../../common/trace/log-memory.ts";
import { type Latencies, latenciesOf } from "../model/latencies.ts";
import type { Timeline } from "../model/timeline.ts";
import { BatchChart } from "./batch-chart.ts";
import { byId, byteSize, element, grouped, setText } from "./dom.ts";
import { LatencyPlot } from "./latency-plot.ts";
import type { Palette } from "./palette.ts";

const BUCKETS = 240;
/** The shortest time between two drawings of a plot while the trace grows. */
const REDRAW_MS = 400;
const WORTH_TELLING = 1.2;
const COUNTERS = [
  "marks",
  "flushes answered",
  "without a write",
  "device writes",
  "written",
  "with whole bitmaps",
] as const;

export class BatchingView {
  onSeek: (event: number) => void = () => {};
  onChange: () => void = () => {};
  private readonly values: HTMLElement[] = [];
  private readonly verdict = element("p", { class: "verdict" });
  private readonly chart: BatchChart;
  private readonly plot: LatencyPlot;
  private readonly plotTitle = element("h3");
  private plottedFor = "";
  private plottedMs = -Infinity;
  private timeline: Timeline | null = null;

  constructor(abi: Abi) {
    const canvas = element("canvas", {
      class: "batch-chart",
      role: "img",
      "aria-label": "Marks, urgent blocks, flushes that wait, writes and lazy blocks around the position",
    });
    const plotFrame = element("div", { class: "latency-plot", role: "img", "aria-label": "Latency of requests" });
    const counters = element("dl", { class: "counters" });
    for (const name of COUNTERS) {
      const value = element("dd", {});
      this.values.push(value);
      counters.append(element("div", {}, element("dt", {}, name), value));
    }
    const chart = element("div", { class: "chart" }, element("h3", {}, "Around this event"), canvas);
    const plot = element("div", { class: "chart" }, this.plotTitle, plotFrame);
    byId("batching-body").append(counters, element("div", { class: "charts" }, chart, plot));
    byId("batching-title").after(this.verdict);
    this.chart = new BatchChart(abi, canvas, () => this.onChange());
    this.plot = new LatencyPlot(plotFrame);
    this.plot.onSeek = (event) => this.onSeek(event);
    canvas.addEventListener("click", (event) => {
      if (this.timeline !== null) this.onSeek(this.chart.eventAt(this.timeline, event.clientX));
    });
  }

  /** Draws for the log of a number; `sight` are the events that the scrubber shows. */
  draw(
    timeline: Timeline,
    log: LogMemory | null,
    number: number,
    sight: { first: number; end: number },
    palette: Palette,
    nowMs: number,
  ): void {
    this.timeline = timeline;
    this.count(timeline, log);
    this.chart.draw(timeline, number, palette);
    const key = `${sight.first} ${sight.end} ${palette.ink.css}`;
    if (key === this.plottedFor || (nowMs - this.plottedMs < REDRAW_MS && !timeline.isComplete)) return;
    this.plottedFor = key;
    this.plottedMs = nowMs;
    const latencies = latenciesOf(timeline.index, timeline.source, sight.first, sight.end, BUCKETS);
    this.plotTitle.replaceChildren(...titleOf(timeline, latencies, sight));
    const hasAny = latencies.highest.some((highest) => highest !== null);
    this.plot.isHidden = !hasAny;
    if (hasAny) this.plot.draw(latencies, palette);
  }

  private count({ index, position }: Timeline, log: LogMemory | null): void {
    const last = position - 1;
    const marks = index.marks.at(last);
    const flushes = index.flushes.at(last);
    const withoutWrite = index.flushesWithoutWrite.at(last);
    const writes = index.writes.at(last);
    const written = index.writtenBytes.at(last);
    const whole = index.wholeBytes.at(last);
    const texts = [
      grouped(marks),
      grouped(flushes),
      grouped(withoutWrite),
      grouped(writes),
      byteSize(written),
      whole === 0 ? "–" : byteSize(whole),
    ];
    for (const [i, text] of texts.entries()) setText(this.values[i] as HTMLElement, text);
    setText(this.verdict, verdictOf(written, whole, log));
  }
}

function verdictOf(written: number, whole: number, log: LogMemory | null): string {
  if (whole === 0) {
    return log !== null && log.disk === null ? "This log is in memory, so a flush writes nothing." : "";
  }
  if (written === 0) return "No flush has needed a write yet.";
  const times = whole / written;
  if (times < WORTH_TELLING) return "There are too few flushes yet to save much by collecting marks.";
  const share = times < 10 ? times.toFixed(1).replace(/\.0$/, "") : grouped(Math.round(times));
  return `Writing the whole bitmap at every flush would write ${share} times as much to the device.`;
}

function titleOf(
  timeline: Timeline,
  { atOnce, answered }: Latencies,
  sight: { first: number; end: number },
): (Node | string)[] {
  let hasRoundTrips = false;
  for (let event = sight.first; event < Math.min(sight.end, sight.first + 64); event++) {
    if (!Number.isNaN(timeline.source.roundTripNs(event))) hasRoundTrips = true;
  }
  const share = answered === 0 ? "" : `${((100 * atOnce) / answered).toFixed(1)} % answered at once`;
  if (answered > 0 && atOnce === answered && !hasRoundTrips) {
    return ["Time in the server", element("span", { class: "quiet" }, "every request was answered at once")];
  }
  return [
    hasRoundTrips ? "Round trips" : "Time in the server",
    element("span", { class: "key median" }, "median"),
    element("span", { class: "key longest" }, "longest"),
    element("span", { class: "quiet" }, share),
  ];
}
