// The region map: every region of the chosen log, zoomed and panned; what lies under the pointer in words.

import type { Abi } from "../../common/abi.ts";
import type { LogMemory } from "../model/log-memory.ts";
import {
  type Cells,
  countStates,
  fillCells,
  makeCells,
  STATE_WORDS,
  STATES,
  type StateCounts,
  stateOf,
} from "../model/region-cells.ts";
import { byId, grouped, plural, setText } from "./dom.ts";
import { Flashes } from "./flashes.ts";
import { MapCanvas } from "./map-canvas.ts";
import { fitting, type Geometry, geometryOf, type Zoom, zoomed } from "./map-geometry.ts";
import { drawMarks } from "./map-marks.ts";
import { Overview } from "./overview.ts";
import type { Palette } from "./palette.ts";
import { Surface } from "./surface.ts";

/** What the map shows. */
export interface MapSubject {
  abi: Abi;
  memory: ArrayBuffer;
  log: LogMemory;
}

const DRAG_FROM_PX = 4;

export class MapView {
  readonly flashes = new Flashes();
  /** The region that a person has chosen, or null. */
  selected: number | null = null;
  onSelect: (region: number) => void = () => {};
  /** Hears that it must be drawn again. */
  onChange: () => void = () => {};
  private readonly frame = byId("map-frame");
  private readonly surface: Surface;
  private readonly marks: Surface;
  private readonly overview: Overview;
  private readonly painter: MapCanvas;
  private readonly readout = byId("readout");
  private cells: Cells = makeCells(0);
  private subject: MapSubject | null = null;
  private logKey = "";
  private zoom: Zoom | null = null;
  private topRow = 0;
  private hovered: number | null = null;
  private counts: StateCounts = [0, 0, 0, 0, 0];

  constructor() {
    const changed = () => this.onChange();
    this.surface = new Surface(byId("cells"), changed);
    this.marks = new Surface(byId("marks"), changed);
    this.painter = new MapCanvas(this.surface.context);
    this.overview = new Overview(byId("overview"), changed, (region) => this.showRegion(region));
    byId("zoom-in").addEventListener("click", () => this.zoomBy(1));
    byId("zoom-out").addEventListener("click", () => this.zoomBy(-1));
    byId("zoom-fit").addEventListener("click", () => this.zoomOut());
    this.listen();
  }

  /** Counts of the log that is shown, by state. */
  get stateCounts(): StateCounts {
    return this.counts;
  }

  /** Draws `subject`, or says in words why there is none. */
  draw(subject: MapSubject | string, palette: Palette, nowMs: number): void {
    if (typeof subject === "string") {
      this.subject = null;
      this.clear(subject);
      return;
    }
    this.subject = subject;
    const { memory, log } = subject;
    if (log.key !== this.logKey) {
      this.logKey = log.key;
      this.zoom = null;
      this.topRow = 0;
      this.hovered = null;
      if (this.selected !== null && this.selected >= log.regionCount) this.selected = null;
    }
    const geometry = this.geometry(log);
    const first = this.topRow * geometry.columns * geometry.perCell;
    const wanted = geometry.columns * (geometry.rows + 1);
    if (this.cells.worst.length !== wanted) this.cells = makeCells(wanted);
    fillCells(memory, log, first, geometry.perCell, this.cells);
    this.painter.draw(this.cells, geometry, palette, this.surface.scale);
    const shown = Math.min(log.regionCount, first + this.cells.length * geometry.perCell) - first;
    this.counts = this.overview.draw(memory, log, first, shown, palette);
    this.drawMarks(log, geometry, first, palette, nowMs);
    this.describe();
  }

  zoomBy(direction: 1 | -1, around = this.selected ?? this.centre()): void {
    if (this.subject === null) return;
    const { log } = this.subject;
    const before = this.geometry(log);
    const rowBefore = Math.floor(around / before.perCell / before.columns) - this.topRow;
    this.zoom = zoomed(before, direction, this.fit(log), this.surface.scale);
    const after = this.geometry(log);
    const pxDown = rowBefore * before.cellPx;
    this.scrollTo(Math.floor(around / after.perCell / after.columns) - Math.floor(pxDown / after.cellPx));
  }

  zoomOut(): void {
    this.zoom = null;
    this.scrollTo(0);
  }

  /** Brings a region into view. */
  showRegion(region: number): void {
    if (this.subject === null) return;
    const { perCell, columns, rows } = this.geometry(this.subject.log);
    const row = Math.floor(region / perCell / columns);
    if (row < this.topRow || row >= this.topRow + rows) this.scrollTo(row - Math.floor(rows / 2));
    else this.onChange();
  }

  select(region: number): void {
    this.selected = region;
    this.showRegion(region);
    this.onSelect(region);
  }

  private drawMarks(log: LogMemory, geometry: Geometry, first: number, palette: Palette, nowMs: number): void {
    const { context, scale } = this.marks;
    drawMarks(context, {
      log,
      geometry,
      first,
      palette,
      scale,
      gutterPx: Math.round(gutterPx() * scale),
      selected: this.selected,
      hovered: this.hovered,
      flashes: this.flashes,
      nowMs,
    });
  }

  private clear(why: string): void {
    this.surface.context.clearRect(0, 0, this.surface.width, this.surface.height);
    this.marks.context.clearRect(0, 0, this.marks.width, this.marks.height);
    this.overview.clear();
    this.counts = [0, 0, 0, 0, 0];
    setText(this.readout, why);
  }

  private fit(log: LogMemory): Zoom {
    return fitting(log.regionCount, this.surface.width, this.surface.height, this.surface.scale);
  }

  private geometry(log: LogMemory): Geometry {
    const zoom = this.zoom ?? this.fit(log);
    const geometry = geometryOf(zoom, log.regionCount, this.surface.width, this.surface.height);
    this.topRow = Math.max(0, Math.min(this.topRow, geometry.totalRows - geometry.rows));
    return geometry;
  }

  private scrollTo(row: number): void {
    this.topRow = Math.max(0, row);
    this.onChange();
  }

  private centre(): number {
    if (this.subject === null) return 0;
    const { columns, perCell, rows } = this.geometry(this.subject.log);
    return (this.topRow + Math.floor(rows / 2)) * columns * perCell;
  }

  /** The first region of the cell under the pointer, or null. */
  private regionAt(event: MouseEvent): number | null {
    if (this.subject === null) return null;
    const { log } = this.subject;
    const { columns, cellPx, perCell } = this.geometry(log);
    const box = this.frame.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left - gutterPx()) * this.surface.scale) / cellPx);
    const row = Math.floor(((event.clientY - box.top) * this.surface.scale) / cellPx) + this.topRow;
    const region = (row * columns + column) * perCell;
    return column >= 0 && column < columns && region < log.regionCount ? region : null;
  }

  private describe(): void {
    if (this.subject === null) return;
    const { memory, log } = this.subject;
    const { perCell } = this.geometry(log);
    const region = this.hovered ?? this.selected;
    if (region === null) {
      const each = perCell === 1 ? "each cell is one region" : `each cell is ${grouped(perCell)} regions`;
      setText(this.readout, `${plural(log.regionCount, "region")}; ${each}.`);
      return;
    }
    if (perCell === 1) {
      setText(this.readout, `Region ${grouped(region)}: ${regionWords(memory, log, region)}.`);
      return;
    }
    const first = region - (region % perCell);
    const length = Math.min(perCell, log.regionCount - first);
    const counts = countStates(memory, log, first, length);
    const parts = counts.flatMap((count, state) =>
      count === 0 ? [] : [`${grouped(count)} ${STATE_WORDS[STATES[state] ?? "clean"]}`],
    );
    setText(
      this.readout,
      `Regions ${grouped(first)} to ${grouped(first + length - 1)}: ${parts.reverse().join(", ")}.`,
    );
  }

  private listen(): void {
    const { frame } = this;
    frame.tabIndex = 0;
    let dragFrom: { y: number; row: number; isDragging: boolean } | null = null;
    frame.addEventListener("pointerdown", (event) => {
      dragFrom = { y: event.clientY, row: this.topRow, isDragging: false };
    });
    frame.addEventListener("pointermove", (event) => {
      if (dragFrom !== null && event.buttons !== 0 && this.subject !== null) {
        const movedPx = event.clientY - dragFrom.y;
        if (Math.abs(movedPx) > DRAG_FROM_PX) dragFrom.isDragging = true;
        const { cellPx } = this.geometry(this.subject.log);
        if (dragFrom.isDragging) this.scrollTo(dragFrom.row - Math.round((movedPx * this.surface.scale) / cellPx));
      }
      this.hovered = this.regionAt(event);
      this.onChange();
    });
    frame.addEventListener("pointerleave", () => {
      this.hovered = null;
      this.onChange();
    });
    frame.addEventListener("click", (event) => {
      const region = this.regionAt(event);
      if (dragFrom?.isDragging !== true && region !== null) this.select(this.worstIn(region));
      dragFrom = null;
    });
    frame.addEventListener("dblclick", (event) => {
      const region = this.regionAt(event);
      if (region !== null) this.zoomBy(1, region);
    });
    frame.addEventListener(
      "wheel",
      (event) => {
        // Where the page itself can scroll, the wheel is the page's.
        const isPageLong = document.documentElement.scrollHeight > window.innerHeight + 1;
        if (isPageLong && !event.ctrlKey && document.activeElement !== frame) return;
        event.preventDefault();
        if (event.shiftKey) this.scrollTo(this.topRow + Math.sign(event.deltaY) * 3);
        else this.zoomBy(event.deltaY < 0 ? 1 : -1, this.regionAt(event) ?? this.centre());
      },
      { passive: false },
    );
    frame.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    if (this.subject === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const { regionCount } = this.subject.log;
    const { columns, perCell } = this.geometry(this.subject.log);
    const from = this.selected ?? this.topRow * columns * perCell;
    const moves: Record<string, number> = {
      ArrowLeft: -perCell,
      ArrowRight: perCell,
      ArrowUp: -columns * perCell,
      ArrowDown: columns * perCell,
      Home: -from,
      End: regionCount - 1 - from,
    };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.select(Math.max(0, Math.min(regionCount - 1, this.selected === null ? from : from + move)));
  }

  /** The first region of a cell that is in the cell's worst state: what a person clicks a coloured cell for. */
  private worstIn(first: number): number {
    if (this.subject === null) return first;
    const { memory, log } = this.subject;
    const { perCell } = this.geometry(log);
    const end = Math.min(log.regionCount, first + perCell);
    let worst = first;
    let worstState = -1;
    for (let region = first; region < end; region++) {
      const state = stateOf(memory, log, region);
      if (state > worstState) {
        worstState = state;
        worst = region;
      }
    }
    return worst;
  }
}

/** Room for the numbers of rows to the left of the cells, in CSS pixels, as page.css has it. */
function gutterPx(): number {
  return byId("cells").offsetLeft;
}

/** The state of a region in words. */
function regionWords(memory: ArrayBuffer, log: LogMemory, region: number): string {
  const state = STATE_WORDS[STATES[stateOf(memory, log, region)] ?? "clean"];
  return region === log.recovering ? `${state}, ${STATE_WORDS.recovering}` : state;
}
