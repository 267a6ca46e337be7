// Marks, flushes, writes and blocks around the position on one time axis: it shows how marks are collected, how one write makes
// many of them durable, and how the flushes that waited for it are answered together.

import type { Abi } from "../../common/abi.ts";
import { batchesOf, type Span } from "../model/batches.ts";
import type { Column } from "../model/columns.ts";
import { DEVICE, DIRTY } from "../model/region-cells.ts";
import type { Timeline } from "../model/timeline.ts";
import { duration } from "./dom.ts";
import type { Palette } from "./palette.ts";
import { Surface } from "./surface.ts";

const EVENTS_BEFORE = 90;
const EVENTS_AFTER = 30;
/** A longer pause ends the chart, because with it on the axis nothing else could be seen. */
const PAUSE_NS = 100e6;
const LANES = ["marks", "urgent blocks", "flushes wait", "writing", "lazy blocks"] as const;
const LABEL_PX = 84;
const TEXT_PX = 11;

export class BatchChart {
  private readonly surface: Surface;

  constructor(
    private readonly abi: Abi,
    canvas: HTMLCanvasElement,
    onResize: () => void,
  ) {
    this.surface = new Surface(canvas, onResize);
  }

  draw(timeline: Timeline, log: number, palette: Palette): void {
    const { surface } = this;
    const { context, width, height, scale } = surface;
    const { index, position } = timeline;
    context.clearRect(0, 0, width, height);
    const { first, end } = around(timeline);
    if (end - first < 2) return;
    const left = LABEL_PX * scale;
    const axisPx = 16 * scale;
    const lanePx = (height - axisPx) / LANES.length;
    const fromNs = index.timeNs(first);
    const toNs = Math.max(fromNs + 1, index.timeNs(end - 1));
    const x = (ns: number) => left + ((Math.min(ns, toNs) - fromNs) / (toNs - fromNs)) * (width - left - 2 * scale);
    const top = (lane: number) => lane * lanePx;
    const batches = batchesOf(this.abi, index, log, first, end);

    context.font = `${TEXT_PX * scale}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    LANES.forEach((name, lane) => {
      context.fillStyle = palette.quiet.css;
      context.fillText(name, 0, top(lane) + lanePx / 2);
      context.fillStyle = palette.line.css;
      context.fillRect(left, Math.round(top(lane) + lanePx - scale), width - left, 1);
    });

    const most = Math.max(1, ...batches.marks.map(({ regions }) => regions));
    context.fillStyle = palette.states[DIRTY]?.css ?? "";
    for (const { atNs, regions } of batches.marks) {
      const tall = Math.max(3 * scale, (regions / most) * (lanePx - 4 * scale));
      context.fillRect(x(atNs) - scale, top(0) + lanePx - tall - scale, 2 * scale, tall);
    }
    this.steps(timeline, log, index.urgentBlocks, first, end, x, top(1), lanePx, palette.states[DIRTY]?.css ?? "");
    this.bars(batches.flushes, x, toNs, top(2), lanePx, palette.categories[1]?.css ?? "");
    this.bars(batches.writes, x, toNs, top(3), lanePx, palette.categories[5]?.css ?? "");
    this.steps(timeline, log, index.lazyBlocks, first, end, x, top(4), lanePx, palette.states[DEVICE]?.css ?? "");

    const nowNs = position === 0 ? fromNs : index.timeNs(position - 1);
    context.fillStyle = palette.ink.css;
    context.fillRect(Math.round(x(nowNs)), 0, Math.max(1, scale), height - axisPx);
    context.fillStyle = palette.quiet.css;
    context.fillText(`${(fromNs / 1e9).toFixed(6)} s`, left, height - axisPx / 2);
    const span = `+${duration(toNs - fromNs)}`;
    context.fillText(span, width - context.measureText(span).width - 2 * scale, height - axisPx / 2);
  }

  /** The event that is nearest to a place on the chart. */
  eventAt(timeline: Timeline, clientX: number): number {
    const { index } = timeline;
    const box = this.surface.canvas.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (clientX - box.left - LABEL_PX) / (box.width - LABEL_PX)));
    const { first, end } = around(timeline);
    const fromNs = index.timeNs(first);
    const atNs = fromNs + share * (index.timeNs(end - 1) - fromNs);
    let nearest = first;
    for (let event = first; event < end; event++) {
      if (Math.abs(index.timeNs(event) - atNs) < Math.abs(index.timeNs(nearest) - atNs)) nearest = event;
    }
    return nearest;
  }

  /** Spans as bars, in rows where they overlap; those of no length as dots. */
  private bars(
    spans: readonly Span[],
    x: (ns: number) => number,
    toNs: number,
    top: number,
    lanePx: number,
    colour: string,
  ): void {
    const { context, scale } = this.surface;
    const rows: number[] = [];
    const tall = Math.max(3 * scale, Math.min(7 * scale, lanePx / 3));
    context.fillStyle = colour;
    for (const { fromNs, toNs: endNs } of spans) {
      if (endNs === fromNs) {
        context.globalAlpha = 0.55;
        context.fillRect(x(fromNs) - scale / 2, top + lanePx - 5 * scale, scale, 4 * scale);
        context.globalAlpha = 1;
        continue;
      }
      let row = rows.findIndex((end) => end <= fromNs);
      if (row < 0) row = rows.length;
      rows[row] = endNs;
      const from = x(fromNs);
      const y = top + 2 * scale + ((row * (tall + scale)) % Math.max(tall, lanePx - tall - 2 * scale));
      context.fillRect(from, y, Math.max(2 * scale, x(Math.min(endNs, toNs)) - from), tall);
    }
  }

  /** A count after each event of the log, as steps. */
  private steps(
    { index }: Timeline,
    log: number,
    counts: Column<Uint32Array>,
    first: number,
    end: number,
    x: (ns: number) => number,
    top: number,
    lanePx: number,
    colour: string,
  ): void {
    const { context, scale } = this.surface;
    let most = 1;
    for (let event = first; event < end; event++) {
      if (index.log(event) === log) most = Math.max(most, counts.at(event));
    }
    context.fillStyle = colour;
    let count = 0;
    let sinceNs = index.timeNs(first);
    const paint = (untilNs: number) => {
      if (count === 0) return;
      const tall = Math.max(2 * scale, (count / most) * (lanePx - 4 * scale));
      const from = x(sinceNs);
      context.fillRect(from, top + lanePx - tall - scale, Math.max(scale, x(untilNs) - from), tall);
    };
    for (let event = first; event < end; event++) {
      if (index.log(event) !== log) continue;
      const atNs = index.timeNs(event);
      paint(atNs);
      count = counts.at(event);
      sinceNs = atNs;
    }
    paint(index.timeNs(end - 1));
  }
}

/** The events before and after the position that are shown. */
function around({ index, position, length }: Timeline): { first: number; end: number } {
  const pauseBefore = (event: number) => index.timeNs(event) - index.timeNs(event - 1);
  let first = Math.max(0, position - 1);
  while (first > 0 && position - first < EVENTS_BEFORE && pauseBefore(first) < PAUSE_NS) first--;
  let end = Math.min(length, first + 1);
  while (end < length && end - position < EVENTS_AFTER && (end < position || pauseBefore(end) < PAUSE_NS)) end++;
  return { first, end };
}
