// The region map: every region of the chosen log, zoomed and panned; what lies under the pointer in words.

import type { Abi } from "../../common/abi.ts";
import type { LogMemory } from "../../common/trace/log-memory.ts";
import { type Cells, fillCells, makeCells, type StateCounts, stateOf } from "../model/region-cells.ts";
import { byId, setText } from "./dom.ts";
import { Flashes } from "./flashes.ts";
import { MapCanvas } from "./map-canvas.ts";
import { fitting, type Geometry, geometryOf, type Zoom, zoomed } from "./map-geometry.ts";
import { type Handled, handle } from "./map-hand.ts";
import { drawMarks } from "./map-marks.ts";
import { cellWords, logWords } from "./map-words.ts";
import { Overview } from "./overview.ts";
import type { Palette } from "./palette.ts";
import { Surface } from "./surface.ts";

/** What the map shows. */
export interface MapSubject {
  abi: Abi;
  memory: ArrayBuffer;
  log: LogMemory;
}

export class MapView implements Handled {
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
    handle(this.frame, this);
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

  get cellSize(): number {
    return this.subject === null ? 1 : this.geometry(this.subject.log).cellPx / this.surface.scale;
  }

  hover(region: number | null): void {
    this.hovered = region;
    this.onChange();
  }

  pick(region: number): void {
    this.select(this.worstIn(region));
  }

  scrollBy(rows: number): void {
    this.scrollTo(this.topRow + rows);
  }

  walk(cells: number, rows: number): void {
    if (this.subject === null) return;
    const { columns, perCell } = this.geometry(this.subject.log);
    const from = this.selected ?? this.topRow * columns * perCell;
    const to = this.selected === null ? from : from + (cells + rows * columns) * perCell;
    this.select(Math.max(0, Math.min(this.subject.log.regionCount - 1, to)));
  }

  walkToEdge(isEnd: boolean): void {
    if (this.subject !== null) this.select(isEnd ? this.subject.log.regionCount - 1 : 0);
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

  regionAt(event: MouseEvent): number | null {
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
    setText(this.readout, region === null ? logWords(log, perCell) : cellWords(memory, log, region, perCell));
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
