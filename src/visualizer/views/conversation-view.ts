// The conversation of kernel, core and log device as a list of lines, each with an arrow from sender to receiver.

import type { Abi } from "../../common/abi.ts";
import { NO_LOG } from "../../common/trace/event-table.ts";
import { CATEGORIES, CATEGORY_WORDS, categoriesByCode } from "../model/codes.ts";
import { FLAG_ERROR, FLAG_STATE } from "../model/event-index.ts";
import { type Filter, LineList } from "../model/line-list.ts";
import { LANES, type Line, type Lines } from "../model/lines.ts";
import type { Timeline } from "../model/timeline.ts";
import { byId, duration, element, grouped } from "./dom.ts";
import { VirtualList } from "./virtual-list.ts";

const SECOND_NS = 1e9;

/** A line that a person has chosen. */
export interface Chosen {
  event: number;
  place: number;
}

export class ConversationView {
  /** Hears of a line that a person chooses. */
  onChoose: (chosen: Chosen) => void = () => {};
  onChange: () => void = () => {};
  chosen: Chosen = { event: -1, place: 0 };
  private readonly list: VirtualList;
  private readonly choice = element("select", { "aria-label": "Which events to list" });
  private readonly onlyLog = element("input", { type: "checkbox", id: "only-log" });
  private timeline: Timeline | null = null;
  private lines: Lines | null = null;
  private listed: LineList | null = null;
  private position = -1;
  private log = NO_LOG;
  private needsReveal = false;

  constructor(
    private readonly abi: Abi,
    private readonly makeLines: (timeline: Timeline) => Lines,
  ) {
    const frame = byId("lines");
    frame.setAttribute("role", "listbox");
    frame.setAttribute("tabindex", "0");
    frame.setAttribute("aria-label", "Messages. Arrow keys step through them.");
    this.list = new VirtualList(frame, (row, index) => this.drawRow(row, index));
    this.list.onScroll = () => this.onChange();
    frame.addEventListener("click", (event) => this.click(event));
    frame.addEventListener("keydown", (event) => this.key(event));
    this.makeFilters();
  }

  load(timeline: Timeline): void {
    this.timeline = timeline;
    this.lines = this.makeLines(timeline);
    this.position = -1;
    this.refilter();
  }

  /** Draws; `log` is the number of the log that is shown. */
  draw(log: number): void {
    const { timeline, listed } = this;
    if (timeline === null || listed === null) return;
    if (log !== this.log) {
      this.log = log;
      if (this.onlyLog.checked) this.refilter();
    }
    this.listed?.extend();
    if (timeline.position !== this.position) {
      this.position = timeline.position;
      if (this.chosen.event !== this.position - 1) this.chosen = { event: this.position - 1, place: 0 };
      this.needsReveal = true;
    }
    const { length } = this.listed as LineList;
    this.list.frame.classList.toggle("empty", length === 0);
    if (this.needsReveal) {
      this.list.render(length);
      const line = this.listed?.lineOf(this.chosen.event) ?? -1;
      if (line >= 0) this.list.reveal(line + this.chosen.place);
      this.needsReveal = false;
    }
    this.list.render(length);
  }

  /** Goes to the line before or after the chosen one. */
  private move(lines: number): void {
    const { listed } = this;
    if (listed === null || listed.length === 0) return;
    const at = listed.lineOf(this.chosen.event);
    let line = Math.max(0, Math.min(listed.length - 1, (at < 0 ? 0 : at + this.chosen.place) + lines));
    // A note is not a message, so skip it.
    while (listed.at(line).note !== null && line > 0) line += lines < 0 ? -1 : 1;
    const { event, place } = listed.at(line);
    this.choose({ event, place });
  }

  private choose(chosen: Chosen): void {
    this.chosen = chosen;
    this.needsReveal = true;
    this.onChoose(chosen);
  }

  private makeFilters(): void {
    const { choice, onlyLog } = this;
    const options = [["all", "everything"], ...CATEGORIES.map((name) => [name, CATEGORY_WORDS[name]])];
    options.push(["state", "what a person should know"], ["errors", "errors"]);
    for (const [value = "", text = ""] of options) choice.append(element("option", { value }, text));
    choice.addEventListener("change", () => this.refilter());
    onlyLog.addEventListener("change", () => this.refilter());
    byId("filters").append(choice, element("label", { for: "only-log", class: "check" }, onlyLog, "this log only"));
  }

  private refilter(): void {
    const { timeline } = this;
    if (timeline === null) return;
    this.listed = new LineList(timeline.index, this.filter(), () => timeline.source.notes);
    this.listed.extend();
    this.needsReveal = true;
    this.onChange();
  }

  private filter(): Filter | null {
    const what = this.choice.value;
    const log = this.onlyLog.checked ? this.log : null;
    if (what === "all" && log === null) return null;
    const table = categoriesByCode(this.abi);
    const category = (CATEGORIES as readonly string[]).indexOf(what);
    const flag = what === "errors" ? FLAG_ERROR : what === "state" ? FLAG_STATE : 0;
    return {
      passes: (index, event) => {
        if (log !== null && index.log(event) !== log) return false;
        if (flag !== 0) return (index.flags.at(event) & flag) !== 0;
        return category < 0 || table[index.code.at(event)] === category;
      },
    };
  }

  private click(event: MouseEvent): void {
    const row = (event.target as HTMLElement).closest<HTMLElement>(".line");
    if (row !== null) this.choose({ event: Number(row.dataset.event), place: Number(row.dataset.place) });
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = this.list.rowsInSight - 1;
    const moves: Record<string, number> = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.move(move);
  }

  private drawRow(row: HTMLElement, index: number): void {
    const { listed, lines, timeline } = this;
    if (listed === null || lines === null || timeline === null) return;
    const { event, place, note } = listed.at(index);
    const isChosen = note === null && event === this.chosen.event && place === this.chosen.place;
    const isNow = event === timeline.position - 1;
    const isAhead = event >= timeline.position;
    const key = `${event}.${place}.${isChosen}.${isNow}.${isAhead}.${note?.words}`;
    if (row.dataset.key === key) return;
    row.dataset.key = key;
    row.dataset.event = String(event);
    row.dataset.place = String(place);
    row.setAttribute("aria-selected", String(isChosen));
    row.setAttribute("aria-posinset", String(index + 1));
    row.setAttribute("aria-setsize", String(listed.length));
    if (note !== null) {
      row.className = `line note ${note.isTrouble ? "error" : ""}`;
      row.id = `note-${index}`;
      row.textContent = note.words;
      return;
    }
    const line = lines.line(event, place);
    row.className = [
      "line line-grid",
      isChosen ? "chosen" : "",
      isNow ? "now" : "",
      isAhead ? "ahead" : "",
      line.isError ? "error" : "",
      place === 0 ? "input" : "",
    ].join(" ");
    row.id = `line-${event}-${place}`;
    if (isChosen) this.list.frame.setAttribute("aria-activedescendant", row.id);
    row.replaceChildren(...this.cellsOf(line, timeline));
  }

  private cellsOf(line: Line, timeline: Timeline): HTMLElement[] {
    const isInput = line.place === 0;
    const timeNs = timeline.index.timeNs(line.event);
    const number = element("span", { class: "number" }, isInput ? grouped(line.event) : "");
    const time = element("span", { class: "when" }, isInput ? (timeNs / SECOND_NS).toFixed(6) : "");
    const words = element("span", { class: "words" });
    words.append(element("b", { class: "name" }, line.name));
    if (line.words !== "") words.append(` ${line.words}`);
    const answerNs = timeline.index.answerNs.at(line.event);
    if (isInput && answerNs > 0) {
      words.append(element("span", { class: "took" }, ` answered after ${duration(answerNs)}`));
    }
    return [number, time, arrow(line), words];
  }
}

/** An arrow from one lane to another; a dot where somebody speaks to nobody. */
function arrow(line: Line): HTMLElement {
  const from = LANES.indexOf(line.from);
  const to = LANES.indexOf(line.to);
  const words = from === to ? `${line.from}: ` : `${line.from} to ${line.to}: `;
  const direction = from === to ? "dot" : to > from ? "right" : "left";
  const lanes = from === to ? `at-${from}` : `at-${Math.min(from, to)}`;
  return element("span", { class: `arrow ${direction} ${lanes}` }, element("span", { class: "unseen" }, words));
}
