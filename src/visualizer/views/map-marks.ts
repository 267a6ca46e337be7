// What is drawn over the cells: the region being recovered, the resync cursor, flashes, the chosen region.

import type { Touch } from "../../common/trace/event-regions.ts";
import type { LogMemory } from "../../common/trace/log-memory.ts";
import { grouped } from "./dom.ts";
import type { Flashes } from "./flashes.ts";
import type { Geometry } from "./map-geometry.ts";
import type { Colour, Palette } from "./palette.ts";

const TEXT_PX = 10.5;

export interface Marks {
  log: LogMemory;
  geometry: Geometry;
  /** The first region that is shown. */
  first: number;
  palette: Palette;
  scale: number;
  /** Room for the numbers of rows to the left of the cells. */
  gutterPx: number;
  selected: number | null;
  hovered: number | null;
  flashes: Flashes;
  nowMs: number;
}

export function drawMarks(context: CanvasRenderingContext2D, marks: Marks): void {
  const { log, geometry, palette, scale, selected, hovered, flashes, nowMs } = marks;
  const { cellPx } = geometry;
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  drawNumbers(context, marks);
  flashes.each(nowMs, (region, touch, brightness) => {
    const at = cellAt(marks, region);
    if (at === null) return;
    const reach = Math.round(brightness * Math.max(2 * scale, cellPx * 0.35));
    context.globalAlpha = brightness;
    context.strokeStyle = flashColour(palette, touch).css;
    context.lineWidth = Math.max(scale, reach / 2);
    context.strokeRect(at.x - reach / 2, at.y - reach / 2, cellPx + reach, cellPx + reach);
  });
  context.globalAlpha = 1;
  if (log.outOfSync > 0 && log.recovering === null) drawCursor(context, marks);
  if (log.recovering !== null) drawRecovering(context, marks, log.recovering);
  outline(context, marks, hovered, palette.quiet, scale);
  outline(context, marks, selected, palette.ink, 2 * scale);
}

function drawRecovering(context: CanvasRenderingContext2D, marks: Marks, region: number): void {
  const at = cellAt(marks, region);
  if (at === null) return;
  const { geometry, palette, scale } = marks;
  const { cellPx, perCell } = geometry;
  const least = 8 * scale;
  const side = Math.max(cellPx, least);
  const x = at.x - (side - cellPx) / 2;
  const y = at.y - (side - cellPx) / 2;
  context.fillStyle = palette.recovering.css;
  context.strokeStyle = palette.ink.css;
  context.lineWidth = Math.max(scale, 1);
  if (perCell === 1) context.fillRect(x, y, side - scale, side - scale);
  context.strokeRect(x + 0.5, y + 0.5, side - scale - 1, side - scale - 1);
  if (side < 12 * scale) return;
  // A ring: the sign for recovery beside its colour.
  context.beginPath();
  context.arc(x + side / 2 - scale / 2, y + side / 2 - scale / 2, side * 0.2, 0, 2 * Math.PI);
  context.stroke();
}

/** A corner at the cell where the search for resync work goes on. */
function drawCursor(context: CanvasRenderingContext2D, marks: Marks): void {
  const at = cellAt(marks, marks.log.cursor);
  if (at === null) return;
  const reach = Math.max(6 * marks.scale, marks.geometry.cellPx * 0.5);
  context.fillStyle = marks.palette.recovering.css;
  context.beginPath();
  context.moveTo(at.x, at.y);
  context.lineTo(at.x + reach, at.y);
  context.lineTo(at.x, at.y + reach);
  context.fill();
}

function outline(
  context: CanvasRenderingContext2D,
  marks: Marks,
  region: number | null,
  colour: Colour,
  width: number,
): void {
  const at = region === null ? null : cellAt(marks, region);
  if (at === null) return;
  const { cellPx } = marks.geometry;
  context.strokeStyle = colour.css;
  context.lineWidth = width;
  context.strokeRect(at.x - width / 2, at.y - width / 2, cellPx + width / 2, cellPx + width / 2);
}

function flashColour(palette: Palette, touch: Touch): Colour {
  if (touch === "sync") return palette.recovering;
  return touch === "unsync" ? palette.error : touch === "clear" ? palette.quiet : palette.flash;
}

/** The region that each row begins with, as far as there is room for its number. */
function drawNumbers(
  context: CanvasRenderingContext2D,
  { log, geometry, first, palette, scale, gutterPx }: Marks,
): void {
  const { perCell, columns, cellPx, rows, totalRows } = geometry;
  const textPx = TEXT_PX * scale;
  const every = Math.max(1, Math.ceil((textPx * 1.7) / cellPx));
  const firstRow = first / perCell / columns;
  context.font = `${textPx}px system-ui, sans-serif`;
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillStyle = palette.quiet.css;
  for (let row = 0; row < Math.min(rows, totalRows - firstRow); row += every) {
    const region = first + row * columns * perCell;
    if (region >= log.regionCount) break;
    context.fillText(shortNumber(region), gutterPx - 7 * scale, row * cellPx + Math.max(cellPx, textPx) / 2);
  }
}

/** A region number that fits beside the map; large ones lose digits that all cells of a row share anyway. */
function shortNumber(region: number): string {
  if (region < 100_000) return grouped(region);
  if (region < 10_000_000) return `${grouped(Math.floor(region / 1000))}k`;
  return `${(region / 1e6).toFixed(region < 1e8 ? 2 : 1)}M`;
}

function cellAt({ geometry, first, gutterPx }: Marks, region: number): { x: number; y: number } | null {
  const { perCell, columns, cellPx, rows } = geometry;
  if (region < first) return null;
  const cell = Math.floor((region - first) / perCell);
  const row = Math.floor(cell / columns);
  return row > rows ? null : { x: gutterPx + (cell % columns) * cellPx, y: row * cellPx };
}
