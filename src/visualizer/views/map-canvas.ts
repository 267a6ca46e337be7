// Draws cells into a canvas: as pixels of an image, since a cell for each path would be too slow for thousands of them.

import { type Cells, CLEAN, DEVICE, DIRTY, FAILED, OUT } from "../model/region-cells.ts";
import type { Geometry } from "./map-geometry.ts";
import { mixWords, type Palette } from "./palette.ts";

/** Shades between clean and a state, by how many of a cell's regions are in it. */
const SHADES = 16;
/** Even one region of very many must be seen. */
const FAINTEST = 0.35;
/** From this size on cells have gaps between them, and signs besides colours. */
const GAP_FROM_PX = 5;
const SIGN_FROM_PX = 12;

export class MapCanvas {
  private image: ImageData | null = null;
  private pixels = new Uint32Array(0);
  private shades: Uint32Array[] = [];
  private palette: Palette | null = null;

  constructor(private readonly context: CanvasRenderingContext2D) {}

  /** Draws rows of cells from the top; `cells` begins with the first of them. */
  draw(cells: Cells, geometry: Geometry, palette: Palette, scale: number): void {
    const { width, height } = this.context.canvas;
    this.prepare(width, height, palette);
    const { pixels } = this;
    const { columns, cellPx, perCell } = geometry;
    const gap = cellPx >= GAP_FROM_PX * scale ? Math.max(1, Math.round(scale)) : 0;
    const fillPx = cellPx - gap;
    pixels.fill(palette.panel.word);
    for (let row = 0; row * cellPx < height; row++) {
      const first = row * columns;
      if (first >= cells.length) break;
      const top = row * cellPx * width;
      const inRow = Math.min(columns, cells.length - first);
      for (let column = 0; column < inRow; column++) {
        const state = cells.worst[first + column] as number;
        const count = cells.count[first + column] as number;
        const shade = perCell === 1 || state === CLEAN ? SHADES : this.shade(count / perCell);
        const from = top + column * cellPx;
        pixels.fill((this.shades[state] as Uint32Array)[shade] as number, from, from + fillPx);
      }
      const end = Math.min(fillPx, height - row * cellPx);
      for (let line = 1; line < end; line++) pixels.copyWithin(top + line * width, top, top + width);
    }
    this.context.putImageData(this.image as ImageData, 0, 0);
    if (cellPx >= SIGN_FROM_PX * scale) this.drawSigns(cells, geometry, fillPx, palette);
  }

  /** Marks that tell states apart without their colours. */
  private drawSigns(cells: Cells, { columns, cellPx }: Geometry, fillPx: number, palette: Palette): void {
    const { context } = this;
    const inset = Math.max(2, Math.round(fillPx * 0.3));
    context.lineWidth = Math.max(1, Math.round(fillPx / 12));
    context.strokeStyle = palette.panel.css;
    context.fillStyle = palette.panel.css;
    context.beginPath();
    for (let cell = 0; cell < cells.length; cell++) {
      const state = cells.worst[cell] as number;
      if (state === CLEAN) continue;
      const x = (cell % columns) * cellPx;
      const y = Math.floor(cell / columns) * cellPx;
      const near = inset;
      const far = fillPx - inset;
      if (state === OUT || state === FAILED) {
        context.moveTo(x + near, y + far);
        context.lineTo(x + far, y + near);
        if (state === FAILED) {
          context.moveTo(x + near, y + near);
          context.lineTo(x + far, y + far);
        }
      } else if (state === DIRTY) {
        const side = Math.max(2, Math.round(fillPx * 0.24));
        const corner = Math.round((fillPx - side) / 2);
        context.fillRect(x + corner, y + corner, side, side);
      } else if (state === DEVICE) {
        context.fillRect(x + near, y + fillPx - near, far - near, context.lineWidth);
      }
    }
    context.stroke();
  }

  private shade(share: number): number {
    return Math.max(0, Math.min(SHADES, Math.round(Math.sqrt(share) * SHADES)));
  }

  private prepare(width: number, height: number, palette: Palette): void {
    if (this.image === null || this.image.width !== width || this.image.height !== height) {
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    if (this.palette === palette) return;
    this.palette = palette;
    const clean = palette.states[CLEAN]?.word ?? 0;
    this.shades = palette.states.map(({ word }) =>
      Uint32Array.from({ length: SHADES + 1 }, (_, shade) =>
        mixWords(clean, word, FAINTEST + (1 - FAINTEST) * (shade / SHADES)),
      ),
    );
  }
}
