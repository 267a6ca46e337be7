// The logs that are there at the position, of which one is shown in the map.

import type { LogMemory } from "../../common/trace/log-memory.ts";
import type { State } from "../model/region-cells.ts";
import { stateMark } from "./detail-view.ts";
import { byId, element, grouped } from "./dom.ts";

export class LogList {
  onChange: () => void = () => {};
  private readonly frame = byId("logs");
  private chosenKey = "";
  private shown = "";

  /** The log to show: the one that a person chose, or one of the same mirror, or the first. */
  choose(logs: readonly LogMemory[]): LogMemory | null {
    const chosen = logs.find(({ key }) => key === this.chosenKey);
    if (chosen !== undefined) return chosen;
    const uuid = this.chosenKey.slice(this.chosenKey.indexOf(" ") + 1);
    return logs.findLast((log) => log.uuid === uuid) ?? logs[0] ?? null;
  }

  /** Draws the list. Returns the log to show. */
  draw(logs: readonly LogMemory[]): LogMemory | null {
    const log = this.choose(logs);
    if (log !== null) this.chosenKey = log.key;
    const key = `${this.chosenKey}|${logs.map((each) => `${each.key} ${worstOf(each)}`).join("|")}`;
    if (key === this.shown) return log;
    this.shown = key;
    this.frame.replaceChildren(
      ...logs.map((each) => {
        const choose = () => {
          this.chosenKey = each.key;
          this.onChange();
        };
        const words = `${each.uuid} · ${grouped(each.regionCount)}${each.disk === null ? "" : " · disk log"}`;
        const isChosen = each.key === this.chosenKey;
        const title = `luid ${each.luid.toString(16)}`;
        return element(
          "button",
          { type: "button", "aria-pressed": String(isChosen), title, click: choose },
          stateMark(worstOf(each), words),
        );
      }),
    );
    return log;
  }
}

/** The worst state that a region of the log is in. */
function worstOf({ failed, outOfSync, dirty }: LogMemory): State {
  if (outOfSync > 0) return failed > 0 ? "failed" : "out";
  return dirty > 0 ? "dirty" : "clean";
}
