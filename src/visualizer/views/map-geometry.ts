// Where regions lie on the canvas: cells of equal size, left to right and top to bottom, each a run of 2^n regions.
// Sizes are device pixels.

/** How far a person has zoomed: so many regions to a cell, and so large a cell. */
export interface Zoom {
  perCell: number;
  cellPx: number;
}

export interface Geometry extends Zoom {
  columns: number;
  /** Rows that fit the canvas. */
  rows: number;
  /** Rows that the whole log takes. */
  totalRows: number;
}

const LARGEST_CELL_PX = 44;
/** A cell of many regions is never smaller, so that it can be told from its neighbours. */
const CROWDED_CELL_PX = 5;
const SMALLEST_CELL_PX = 6;
const ZOOM_STEP = 1.45;
/** Share of the width that may stay empty for the sake of round numbers. */
const WASTE_MAX = 0.07;

export function geometryOf(zoom: Zoom, regionCount: number, width: number, height: number): Geometry {
  const cells = Math.ceil(regionCount / zoom.perCell);
  const rows = Math.max(1, Math.floor(height / zoom.cellPx));
  const columns = niceColumns(Math.max(1, Math.floor(width / zoom.cellPx)), Math.ceil(cells / rows));
  return {
    ...zoom,
    columns: Math.min(columns, Math.max(1, cells)),
    rows,
    totalRows: Math.ceil(cells / columns),
  };
}

/** The largest cells with which every region can be seen at once. `scale` is device pixels for each CSS pixel. */
export function fitting(regionCount: number, width: number, height: number, scale: number): Zoom {
  const fits = (zoom: Zoom) => {
    const { rows, totalRows } = geometryOf(zoom, regionCount, width, height);
    return totalRows <= rows;
  };
  for (let cellPx = Math.round(LARGEST_CELL_PX * scale); cellPx >= SMALLEST_CELL_PX * scale; cellPx--) {
    if (fits({ perCell: 1, cellPx })) return { perCell: 1, cellPx };
  }
  let cellPx = Math.round(CROWDED_CELL_PX * scale);
  let perCell = 1;
  while (perCell < regionCount && !fits({ perCell, cellPx })) perCell *= 2;
  while (fits({ perCell, cellPx: cellPx + 1 })) cellPx++;
  return { perCell, cellPx };
}

/** One step nearer or farther; `fit` is the farthest. */
export function zoomed(zoom: Zoom, direction: 1 | -1, fit: Zoom, scale: number): Zoom {
  const largest = Math.round(LARGEST_CELL_PX * scale);
  const smallest = Math.round(SMALLEST_CELL_PX * scale);
  const crowded = Math.round(CROWDED_CELL_PX * scale);
  if (direction === 1) {
    if (zoom.perCell > 1) return { perCell: zoom.perCell / 2, cellPx: crowded };
    return { perCell: 1, cellPx: Math.min(largest, Math.max(smallest, Math.ceil(zoom.cellPx * ZOOM_STEP))) };
  }
  const farther =
    zoom.perCell === 1 && zoom.cellPx > smallest
      ? { perCell: 1, cellPx: Math.max(smallest, Math.floor(zoom.cellPx / ZOOM_STEP)) }
      : { perCell: zoom.perCell * 2, cellPx: crowded };
  const isBeyond = farther.perCell > fit.perCell || (farther.perCell === fit.perCell && farther.cellPx < fit.cellPx);
  return isBeyond ? fit : farther;
}

/** Columns that make the numbers of rows round, where that costs little of the width, or `least` are enough for all cells. */
function niceColumns(most: number, least: number): number {
  for (const step of [64, 32, 16, 8, 4]) {
    const columns = most - (most % step);
    if (columns > 0 && ((most % step) / most <= WASTE_MAX || columns >= least)) return columns;
  }
  return most;
}
