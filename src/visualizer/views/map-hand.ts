// Pointer, wheel and keyboard on the region map.

const DRAG_FROM_PX = 4;
const ROWS_PER_NOTCH = 3;

/** What a hand can do to the map. Regions are the first ones of cells. */
export interface Handled {
  /** The region under the pointer, or null. */
  regionAt(event: MouseEvent): number | null;
  hover(region: number | null): void;
  pick(region: number): void;
  zoomBy(direction: 1 | -1, around?: number): void;
  /** Scrolls by rows of cells. */
  scrollBy(rows: number): void;
  /** Size of a cell in CSS pixels. */
  readonly cellSize: number;
  /** Chooses the region that is so many cells, or rows of them, away. */
  walk(cells: number, rows: number): void;
  walkToEdge(isEnd: boolean): void;
}

export function handle(frame: HTMLElement, map: Handled): void {
  let dragged: { y: number; hasMoved: boolean } | null = null;
  frame.tabIndex = 0;
  frame.addEventListener("pointerdown", (event) => {
    dragged = { y: event.clientY, hasMoved: false };
  });
  frame.addEventListener("pointermove", (event) => {
    if (dragged !== null && event.buttons !== 0) {
      if (Math.abs(event.clientY - dragged.y) > DRAG_FROM_PX) dragged.hasMoved = true;
      const rows = Math.trunc((dragged.y - event.clientY) / map.cellSize);
      if (dragged.hasMoved && rows !== 0) {
        map.scrollBy(rows);
        dragged.y -= rows * map.cellSize;
      }
    }
    map.hover(map.regionAt(event));
  });
  frame.addEventListener("pointerleave", () => map.hover(null));
  frame.addEventListener("click", (event) => {
    const region = map.regionAt(event);
    if (dragged?.hasMoved !== true && region !== null) map.pick(region);
    dragged = null;
  });
  frame.addEventListener("dblclick", (event) => {
    const region = map.regionAt(event);
    if (region !== null) map.zoomBy(1, region);
  });
  frame.addEventListener("wheel", (event) => turn(frame, map, event), { passive: false });
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !press(map, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}

function turn(frame: HTMLElement, map: Handled, event: WheelEvent): void {
  // Where the page itself can scroll, the wheel is the page's.
  const isPageLong = document.documentElement.scrollHeight > window.innerHeight + 1;
  if (isPageLong && !event.ctrlKey && document.activeElement !== frame) return;
  event.preventDefault();
  if (event.shiftKey) map.scrollBy(Math.sign(event.deltaY) * ROWS_PER_NOTCH);
  else map.zoomBy(event.deltaY < 0 ? 1 : -1, map.regionAt(event) ?? undefined);
}

/** Returns whether the key is one of the map's. */
function press(map: Handled, key: string): boolean {
  if (key === "ArrowLeft") map.walk(-1, 0);
  else if (key === "ArrowRight") map.walk(1, 0);
  else if (key === "ArrowUp") map.walk(0, -1);
  else if (key === "ArrowDown") map.walk(0, 1);
  else if (key === "Home" || key === "End") map.walkToEdge(key === "End");
  else return false;
  return true;
}
