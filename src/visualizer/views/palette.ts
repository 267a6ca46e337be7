// Colours of region states and event categories, as style.css has them: map, legend, plots and text take them from here,
// so that a state looks the same everywhere and in both themes.

import { CATEGORIES } from "../model/codes.ts";
import { STATES } from "../model/region-cells.ts";

/** A colour as canvas words have it (0xAABBGGRR) and as CSS has it. */
export interface Colour {
  word: number;
  css: string;
}

export interface Palette {
  /** By index of STATES. */
  states: Colour[];
  recovering: Colour;
  /** By index of CATEGORIES. */
  categories: Colour[];
  ink: Colour;
  quiet: Colour;
  line: Colour;
  panel: Colour;
  accent: Colour;
  error: Colour;
  flash: Colour;
}

export function readPalette(): Palette {
  const probe = document.createElement("span");
  document.body.append(probe);
  // A custom property keeps its `light-dark()` unresolved; a real property that uses it does not.
  const colour = (name: string): Colour => {
    probe.style.color = `var(--${name})`;
    const css = getComputedStyle(probe).color;
    const [red = 0, green = 0, blue = 0] = (css.match(/[\d.]+/g) ?? []).map(Number);
    return { css, word: ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0 };
  };
  const palette: Palette = {
    states: STATES.map((state) => colour(`state-${state}`)),
    recovering: colour("state-recovering"),
    categories: CATEGORIES.map((category) => colour(`category-${category}`)),
    ink: colour("ink"),
    quiet: colour("quiet"),
    line: colour("line"),
    panel: colour("panel"),
    accent: colour("accent"),
    error: colour("error"),
    flash: colour("flash"),
  };
  probe.remove();
  return palette;
}

/** A colour between two, as a canvas word; `share` 0 is the first, 1 the second. */
export function mixWords(one: number, other: number, share: number): number {
  const channel = (shift: number) => {
    const a = (one >>> shift) & 255;
    const b = (other >>> shift) & 255;
    return Math.round(a + (b - a) * share) << shift;
  };
  return ((255 << 24) | channel(16) | channel(8) | channel(0)) >>> 0;
}
