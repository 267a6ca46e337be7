// How many frames a second the page draws while something is done to it in each of them.

import type { App } from "../../src/visualizer/app.ts";
import type { OpenPage } from "./open-page.ts";

const MEASURED_MS = 1500;
/** The machine may be busy with something else for a while: the best of a few is what the page can do. */
const ATTEMPTS = 3;

/** Frames a second while the position runs over all events, forwards and backwards and with leaps. */
export function scrubbing(opened: OpenPage): Promise<number> {
  return best(opened, "scrub");
}

/** The same while the map is zoomed and moved, and the position changes too, so that every bitmap is read for each frame. */
export function roaming(opened: OpenPage): Promise<number> {
  return best(opened, "roam");
}

async function best(opened: OpenPage, how: "scrub" | "roam"): Promise<number> {
  let highest = 0;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) highest = Math.max(highest, await measure(opened, how));
  return highest;
}

function measure(opened: OpenPage, how: "scrub" | "roam"): Promise<number> {
  return opened.page.evaluate(
    ({ kind, durationMs }) => {
      const app = window.dmUlog as App;
      const { length } = app.player.timeline;
      const act = (frame: number) => {
        if (kind === "scrub") {
          // A sweep as a hand makes it, with a leap now and then.
          const share = frame % 20 === 19 ? (frame * 0.618) % 1 : Math.abs(Math.sin(frame / 40));
          app.seek(Math.floor(share * length));
          return;
        }
        app.seek(1 + (frame % Math.max(1, length - 1)));
        if (frame % 30 < 15) app.map.zoomBy(1);
        else app.map.zoomBy(-1);
      };
      return new Promise<number>((resolve) => {
        const startedMs = performance.now();
        let frame = 0;
        const next = () => {
          const passedMs = performance.now() - startedMs;
          if (passedMs > durationMs) {
            resolve((1000 * frame) / passedMs);
            return;
          }
          act(frame++);
          requestAnimationFrame(next);
        };
        requestAnimationFrame(next);
      });
    },
    { kind: how, durationMs: MEASURED_MS },
  );
}
