// A strip of all regions of a log, with a frame around those that the map shows.

import type { LogMemory } from "../../common/trace/log-memory.ts";
import { type Cells, CLEAN, fillCells, makeCells, type StateCounts } from "../model/region-cells.ts";
import type { Palette } from "./palette.ts";
import { Surface } from "./surface.ts";

export class Overview {
  private readonly surface: Surface;
  private cells: Cells = makeCells(0);
  private regionCount = 0;

  /** `onPick` hears of a region that a person points at. */
  constructor(canvas: HTMLCanvasElement, onResize: () => void, onPick: (region: number) => void) {
    this.surface = new Surface(canvas, onResize);
    const pick = (event: PointerEvent) => {
      if (event.buttons === 0 || this.regionCount === 0) return;
      const box = canvas.getBoundingClientRect();
      const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
      onPick(Math.min(this.regionCount - 1, Math.floor(share * this.regionCount)));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pick(event);
    });
    canvas.addEventListener("pointermove", pick);
  }

  /** Draws all regions, and a frame around `shown` of them from `first` on. Returns the counts of all. */
  draw(memory: ArrayBuffer, log: LogMemory, first: number, shown: number, palette: Palette): StateCounts {
    const { context, width, height, scale } = this.surface;
    this.regionCount = log.regionCount;
    let perCell = 1;
    while (Math.ceil(log.regionCount / perCell) > width) perCell *= 2;
    const wanted = Math.ceil(log.regionCount / perCell);
    if (this.cells.worst.length !== wanted) this.cells = makeCells(wanted);
    const counts = fillCells(memory, log, 0, perCell, this.cells);
    const toPx = width / log.regionCount;
    context.globalAlpha = 1;
    context.fillStyle = palette.states[CLEAN]?.css ?? "";
    context.fillRect(0, 0, width, height);
    for (let cell = 0; cell < this.cells.length; cell++) {
      const state = this.cells.worst[cell] as number;
      if (state === CLEAN) continue;
      const x = cell * perCell * toPx;
      const share = (this.cells.count[cell] as number) / perCell;
      const tall = Math.max(2 * scale, Math.round(height * Math.sqrt(share)));
      context.fillStyle = palette.states[state]?.css ?? "";
      context.fillRect(Math.floor(x), height - tall, Math.max(scale, Math.ceil(perCell * toPx)), tall);
    }
    if (log.recovering !== null) {
      context.fillStyle = palette.recovering.css;
      context.fillRect(Math.round(log.recovering * toPx) - scale, 0, 2 * scale, height);
    }
    if (shown < log.regionCount) {
      context.strokeStyle = palette.ink.css;
      context.lineWidth = 2 * scale;
      const frameWidth = Math.max(4 * scale, shown * toPx);
      context.strokeRect(first * toPx + scale, scale, Math.max(scale, frameWidth - 2 * scale), height - 2 * scale);
    }
    return counts;
  }

  clear(): void {
    this.regionCount = 0;
    this.surface.context.clearRect(0, 0, this.surface.width, this.surface.height);
  }
}
