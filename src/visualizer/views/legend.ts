// The states of regions with their colours and the number of regions in each.

import { FAILED, STATES, type StateCounts } from "../model/region-cells.ts";
import { stateMark } from "./detail-view.ts";
import { byId, element, grouped, setText } from "./dom.ts";

export class Legend {
  private readonly counts: HTMLElement[] = [];
  private readonly recovering = element("span", { class: "count" }, "");

  constructor() {
    const list = byId("legend");
    for (const state of STATES) {
      const count = element("span", { class: "count" }, "0");
      this.counts.push(count);
      list.append(element("li", { "data-state": state }, stateMark(state), count));
    }
    list.append(element("li", { "data-state": "recovering" }, stateMark("recovering"), this.recovering));
  }

  draw(counts: StateCounts, recovering: number | null): void {
    for (const [state, count] of counts.entries()) {
      const shown = this.counts[state] as HTMLElement;
      setText(shown, grouped(count));
      // Failed regions are rare, so they take up space only when there are some.
      (shown.parentElement as HTMLElement).hidden = state === FAILED && count === 0;
    }
    setText(this.recovering, recovering === null ? "none" : `region ${grouped(recovering)}`);
  }
}
