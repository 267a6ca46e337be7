// Regions that something happened to a moment ago, so that the map can light them up and let them fade.

import type { Touch } from "../../common/trace/event-regions.ts";

const FADE_MS = 700;
/** More than a screen can show; further regions do not flash. */
const FLASHES_MAX = 4096;

export class Flashes {
  private readonly lit = new Map<number, { sinceMs: number; touch: Touch }>();

  get isEmpty(): boolean {
    return this.lit.size === 0;
  }

  clear(): void {
    this.lit.clear();
  }

  add(region: number, touch: Touch, nowMs: number): void {
    this.lit.delete(region);
    if (this.lit.size < FLASHES_MAX) this.lit.set(region, { sinceMs: nowMs, touch });
  }

  /** Calls `use` with each region and how bright it still is, from 1 down to 0; forgets those that have faded. */
  each(nowMs: number, use: (region: number, touch: Touch, brightness: number) => void): void {
    for (const [region, { sinceMs, touch }] of this.lit) {
      const brightness = 1 - (nowMs - sinceMs) / FADE_MS;
      if (brightness <= 0) this.lit.delete(region);
      else use(region, touch, brightness);
    }
  }
}
