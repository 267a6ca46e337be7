// The whole trace as one strip: how dense its events are and of what kind, where errors and troubles are, how much was
// out of sync, and where the page stands in it.

import type { Abi } from "../../common/abi.ts";
import { CATEGORIES, categoriesByCode } from "../model/codes.ts";
import { FLAG_ERROR } from "../model/event-index.ts";
import { DIRTY, OUT } from "../model/region-cells.ts";
import type { Timeline } from "../model/timeline.ts";
import { byId, grouped, plural } from "./dom.ts";
import type { Palette } from "./palette.ts";
import { Surface } from "./surface.ts";

/** Shares of the height, from the top: troubles, density, regions that are out of sync or dirty. */
const TROUBLE_SHARE = 0.18;
const STATE_SHARE = 0.26;
const BAR_PX = 3;
const ZOOM_STEP = 1.3;
const SHORTEST_EVENTS = 50;
/** A strip that grows is drawn anew no more often. */
const REDRAW_MS = 200;

export class Scrubber {
  onSeek: (position: number) => void = () => {};
  onChange: () => void = () => {};
  private readonly surface: Surface;
  /** The strip without the position. */
  private readonly strip = document.createElement("canvas");
  private readonly categories: Uint8Array;
  private timeline: Timeline | null = null;
  private drawnFor = "";
  private drawnLength = 0;
  private drawnMs = -Infinity;
  /** Events in sight, [first, end); null for all of them. */
  private range: { first: number; end: number } | null = null;

  constructor(abi: Abi) {
    this.categories = categoriesByCode(abi);
    const canvas = byId<HTMLCanvasElement>("density");
    this.surface = new Surface(canvas, () => this.onChange());
    this.listen(canvas);
  }

  load(timeline: Timeline): void {
    this.timeline = timeline;
    this.range = null;
    this.drawnFor = "";
  }

  /** Events in sight, [first, end). */
  get sight(): { first: number; end: number } {
    const length = this.timeline?.length ?? 0;
    return this.range === null ? { first: 0, end: length } : { ...this.range, end: Math.min(length, this.range.end) };
  }

  draw(palette: Palette, nowMs: number): void {
    const { timeline, surface } = this;
    if (timeline === null) return;
    this.follow(timeline);
    const { first, end } = this.sight;
    const key = `${first} ${this.range?.end ?? "all"} ${surface.width} ${surface.height} ${palette.ink.css}`;
    const hasGrown = timeline.length !== this.drawnLength;
    if (key !== this.drawnFor || (hasGrown && (nowMs - this.drawnMs > REDRAW_MS || timeline.isComplete))) {
      this.drawnFor = key;
      this.drawnLength = timeline.length;
      this.drawnMs = nowMs;
      this.drawStrip(timeline, first, end, palette);
    }
    surface.context.drawImage(this.strip, 0, 0);
    this.drawPosition(timeline, palette);
    this.describe(timeline);
  }

  zoomBy(direction: 1 | -1, around = this.timeline?.position ?? 0): void {
    const length = this.timeline?.length ?? 0;
    const { first, end } = this.sight;
    const factor = direction === 1 ? 1 / ZOOM_STEP : ZOOM_STEP;
    const span = Math.max(SHORTEST_EVENTS, (end - first) * factor);
    if (span >= length) {
      this.range = null;
    } else {
      const share = (around - first) / Math.max(1, end - first);
      const from = Math.max(0, Math.min(length - span, around - span * share));
      this.range = { first: Math.floor(from), end: Math.ceil(from + span) };
    }
    this.onChange();
  }

  /** Keeps the position in sight. */
  private follow(timeline: Timeline): void {
    if (this.range === null) return;
    const { first, end } = this.range;
    const { position, length } = timeline;
    if (position >= first && position <= end) return;
    const span = end - first;
    const from = Math.max(0, Math.min(length - span, position - Math.floor(span / 2)));
    this.range = { first: from, end: from + span };
  }

  private drawStrip(timeline: Timeline, first: number, end: number, palette: Palette): void {
    const { width, height, scale } = this.surface;
    this.strip.width = width;
    this.strip.height = height;
    const context = this.strip.getContext("2d") as CanvasRenderingContext2D;
    const { index } = timeline;
    const troublePx = Math.round(height * TROUBLE_SHARE);
    const statePx = Math.round(height * STATE_SHARE);
    const densityPx = height - troublePx - statePx;
    context.fillStyle = palette.panel.css;
    context.fillRect(0, 0, width, height);
    const span = end - first;
    if (span <= 0) return;
    const barPx = Math.max(1, Math.round(BAR_PX * scale));
    const bars = Math.ceil(width / barPx);
    const eventAt = (bar: number) => first + Math.floor((bar / bars) * span);
    const counts = new Float64Array(CATEGORIES.length);
    const rates = new Float64Array(bars);
    let mostOut = 1;
    for (let bar = 0; bar < bars; bar++) {
      const from = eventAt(bar);
      const to = Math.max(from + 1, eventAt(bar + 1));
      const tookNs = index.timeNs(Math.min(to, timeline.length - 1)) - index.timeNs(from);
      rates[bar] = Math.sqrt((to - from) / Math.max(1e-6, tookNs / 1e9));
      mostOut = Math.max(mostOut, index.outOfSync.at(from));
    }
    // A burst now and then must not flatten all the rest.
    const tallest = rates.slice().sort()[Math.floor(bars * 0.97)] as number;
    for (let bar = 0; bar < bars; bar++) {
      const from = eventAt(bar);
      const to = Math.max(from + 1, eventAt(bar + 1));
      const x = bar * barPx;
      counts.fill(0);
      let hasError = false;
      for (let event = from; event < to && event < end; event++) {
        (counts[this.categories[index.code.at(event)] as number] as number)++;
        if (index.flags.at(event) & FLAG_ERROR) hasError = true;
      }
      const tall = Math.min(1, (rates[bar] as number) / tallest) * (densityPx - 2 * scale);
      let bottom = troublePx + densityPx - scale;
      for (let category = 0; category < counts.length; category++) {
        const part = (tall * (counts[category] as number)) / (to - from);
        if (part <= 0) continue;
        context.fillStyle = palette.categories[category]?.css ?? "";
        context.fillRect(x, bottom - part, Math.max(1, barPx - scale), part);
        bottom -= part;
      }
      // Where bars are more than events, an error is one mark and not many.
      if (hasError && (bar === 0 || eventAt(bar - 1) !== from)) {
        context.fillStyle = palette.error.css;
        context.fillRect(x, 0, 2 * scale, troublePx - scale);
      }
      this.drawState(context, timeline, x, barPx, from, mostOut, statePx, palette);
    }
    context.fillStyle = palette.line.css;
    context.fillRect(0, height - statePx, width, 1);
    this.drawNotes(context, timeline, first, span, palette);
  }

  private drawState(
    context: CanvasRenderingContext2D,
    { index }: Timeline,
    x: number,
    barPx: number,
    event: number,
    mostOut: number,
    statePx: number,
    palette: Palette,
  ): void {
    const { height, scale } = this.surface;
    const out = index.outOfSync.at(event);
    const dirty = index.dirty.at(event);
    const tallOf = (count: number) => Math.max(scale, Math.round(Math.sqrt(count / mostOut) * (statePx - scale)));
    if (out > 0) {
      const tall = tallOf(out);
      context.fillStyle = palette.states[OUT]?.css ?? "";
      context.fillRect(x, height - tall, barPx, tall);
    } else if (dirty > 0) {
      context.fillStyle = palette.states[DIRTY]?.css ?? "";
      context.fillRect(x, height - 2 * scale, barPx, 2 * scale);
    }
  }

  private drawNotes(
    context: CanvasRenderingContext2D,
    { source }: Timeline,
    first: number,
    span: number,
    palette: Palette,
  ): void {
    const { width, height, scale } = this.surface;
    // Troubles last: they must not be hidden by what follows them at once.
    for (const { event, isTrouble } of [...source.notes].sort((one, other) => +one.isTrouble - +other.isTrouble)) {
      const x = Math.round(((event - first) / span) * width);
      if (x < 0 || x > width) continue;
      context.fillStyle = isTrouble ? palette.error.css : palette.quiet.css;
      context.fillRect(x, 0, scale, height);
      context.beginPath();
      context.moveTo(x - 4 * scale, 0);
      context.lineTo(x + 5 * scale, 0);
      context.lineTo(x + scale / 2, 7 * scale);
      context.fill();
    }
  }

  private drawPosition({ position }: Timeline, palette: Palette): void {
    const { context, width, height, scale } = this.surface;
    const { first, end } = this.sight;
    const x = Math.round(((position - first) / Math.max(1, end - first)) * width);
    context.globalAlpha = 0.45;
    context.fillStyle = palette.panel.css;
    context.fillRect(x, 0, width - x, height);
    context.globalAlpha = 1;
    context.fillStyle = palette.ink.css;
    const left = Math.max(0, Math.min(width - 2 * scale, x - scale));
    context.fillRect(left, 0, 2 * scale, height);
    context.beginPath();
    context.arc(left + scale, height - 5 * scale, 5 * scale, 0, 2 * Math.PI);
    context.fill();
  }

  private describe({ position, length, index }: Timeline): void {
    const { canvas } = this.surface;
    const seconds = position === 0 ? 0 : index.timeNs(position - 1) / 1e9;
    canvas.setAttribute("aria-valuemin", "0");
    canvas.setAttribute("aria-valuemax", String(length));
    canvas.setAttribute("aria-valuenow", String(position));
    canvas.setAttribute(
      "aria-valuetext",
      `after ${plural(position, "event")} of ${grouped(length)}, ${seconds.toFixed(6)} s`,
    );
  }

  private listen(canvas: HTMLCanvasElement): void {
    const positionAt = (event: MouseEvent) => {
      const box = canvas.getBoundingClientRect();
      const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
      const { first, end } = this.sight;
      return Math.round(first + share * (end - first));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.onSeek(positionAt(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons !== 0) this.onSeek(positionAt(event));
    });
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoomBy(event.deltaY < 0 ? 1 : -1, positionAt(event));
      },
      { passive: false },
    );
  }
}
