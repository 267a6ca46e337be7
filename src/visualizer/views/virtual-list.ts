// A list of millions of rows of equal height, of which only those in sight are elements.
//
// A browser cannot make an element tall enough for millions of rows. Where the list is longer than that, the scroll bar
// stands for the whole and the wheel moves by rows.

import { element } from "./dom.ts";

export const ROW_PX = 24;
const TALLEST_PX = 8_000_000;

export class VirtualList {
  /** Hears that rows in sight must be drawn. */
  onScroll: () => void = () => {};
  private readonly spacer = element("div", { class: "spacer" });
  private readonly rows: HTMLElement[] = [];
  private length = 0;
  /** The row at the top, with a fraction. */
  private top = 0;
  /** The position to which this code set the scroll bar; a scroll event with that position does not come from the user. */
  private ownScrollTop = -1;

  constructor(
    readonly frame: HTMLElement,
    private readonly draw: (row: HTMLElement, index: number) => void,
  ) {
    this.spacer.setAttribute("role", "presentation");
    frame.append(this.spacer);
    frame.addEventListener("scroll", () => {
      if (Math.abs(frame.scrollTop - this.ownScrollTop) < 1) return;
      this.ownScrollTop = frame.scrollTop;
      this.top = this.topOfScroll(frame.scrollTop);
      this.onScroll();
    });
    frame.addEventListener(
      "wheel",
      (event) => {
        if (this.length * ROW_PX <= TALLEST_PX) return;
        event.preventDefault();
        this.scrollTo(this.top + event.deltaY / ROW_PX);
        this.onScroll();
      },
      { passive: false },
    );
    new ResizeObserver(() => this.onScroll()).observe(frame);
  }

  get rowsInSight(): number {
    return Math.max(1, Math.floor(this.frame.clientHeight / ROW_PX));
  }

  /** Draws the rows in sight of a list of `length`. */
  render(length: number): void {
    if (length !== this.length) {
      this.length = length;
      this.spacer.style.height = `${Math.min(TALLEST_PX, length * ROW_PX)}px`;
    }
    const first = Math.max(0, Math.min(Math.floor(this.top), length - 1));
    const shown = Math.min(length - first, this.rowsInSight + 2);
    while (this.rows.length < shown) {
      const row = element("div", { class: "line line-grid", role: "option" });
      this.rows.push(row);
      this.spacer.append(row);
    }
    const offset = this.frame.scrollTop - (this.top - first) * ROW_PX;
    const base = this.length * ROW_PX <= TALLEST_PX ? first * ROW_PX : Math.max(0, offset);
    this.rows.forEach((row, i) => {
      row.hidden = i >= shown;
      if (row.hidden) return;
      row.style.transform = `translateY(${base + i * ROW_PX}px)`;
      this.draw(row, first + i);
    });
  }

  /** Brings a row into sight, somewhat below the middle, unless it is. */
  reveal(index: number): void {
    const inSight = this.rowsInSight;
    const isSeen = index >= Math.ceil(this.top) && index < Math.floor(this.top) + inSight - 1;
    if (!isSeen) this.scrollTo(index - Math.floor(inSight * 0.6));
  }

  private scrollTo(top: number): void {
    const topMost = Math.max(0, this.length - this.frame.clientHeight / ROW_PX);
    this.top = Math.max(0, Math.min(top, topMost));
    const tallPx = this.length * ROW_PX;
    const roomPx = Math.min(TALLEST_PX, tallPx) - this.frame.clientHeight;
    this.frame.scrollTop = tallPx <= TALLEST_PX ? this.top * ROW_PX : (this.top / topMost) * roomPx;
    this.ownScrollTop = this.frame.scrollTop;
  }

  private topOfScroll(scrollTop: number): number {
    const tallPx = this.length * ROW_PX;
    if (tallPx <= TALLEST_PX) return scrollTop / ROW_PX;
    const roomPx = TALLEST_PX - this.frame.clientHeight;
    return (scrollTop / roomPx) * (this.length - this.frame.clientHeight / ROW_PX);
  }
}
