// One region: its state, and its events before and after the position.

import type { Abi } from "../../common/abi.ts";
import { historyOf, type RegionEvent, type Touch } from "../../common/trace/event-regions.ts";
import type { Timeline } from "../model/timeline.ts";
import { byId, element, grouped } from "./dom.ts";
import type { MapSubject } from "./map-view.ts";

const SHOWN_BEFORE = 4;
const SHOWN_AFTER = 2;

const TOUCH_WORDS: Readonly<Record<Touch, string>> = {
  mark: "marked",
  clear: "cleared",
  sync: "in sync again",
  unsync: "out of sync",
  ask: "asked about",
};

export class RegionPanel {
  onSeek: (position: number) => void = () => {};
  private readonly panel = byId("region");
  private shown = "";

  constructor(private readonly abi: Abi) {}

  draw(timeline: Timeline, subject: MapSubject | null, number: number, region: number | null): void {
    const isHidden = subject === null || region === null || region >= subject.log.regionCount;
    this.panel.hidden = isHidden;
    const key = isHidden ? "" : `${subject.log.key} ${region} ${timeline.position} ${timeline.length}`;
    if (key === this.shown) return;
    this.shown = key;
    if (isHidden) return;
    const { position, length, trace } = timeline;
    const find = (from: number, to: number, most: number) => historyOf(this.abi, trace, number, region, from, to, most);
    const before = find(position - 1, -1, SHOWN_BEFORE).reverse();
    const after = find(position, length, SHOWN_AFTER);
    const items = [...before, ...after].map((entry) => this.item(timeline, entry));
    this.panel.replaceChildren(
      element("h3", {}, `Region ${grouped(region)}`),
      items.length === 0
        ? element("p", { class: "quiet" }, "No request names this region.")
        : element("ol", { class: "history" }, ...items),
    );
  }

  private item({ position, index }: Timeline, { event, touch }: RegionEvent): HTMLElement {
    const words = `${TOUCH_WORDS[touch]} ${(index.timeNs(event) / 1e9).toFixed(3)} s`;
    const go = () => this.onSeek(event + 1);
    const button = element("button", { type: "button", class: "link", click: go }, grouped(event));
    return element("li", { class: event >= position ? "ahead" : "" }, button, ` ${words}`);
  }
}
