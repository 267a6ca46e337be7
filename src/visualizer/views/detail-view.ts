// One message in full: its bytes with the name of each field, and the changes that its event made in the map.

import type { Abi } from "../../common/abi.ts";
import type { Console } from "../../common/console.ts";
import type { Engine } from "../../common/engine.ts";
import { addressOf } from "../../common/trace/address.ts";
import { readEvent } from "../../common/trace/event.ts";
import { readLogs } from "../../common/trace/log-memory.ts";
import { datagramFields, effectFields, type Field, type FieldGroup, inputFields } from "../model/fields.ts";
import { type Line, type Lines, listedEffects } from "../model/lines.ts";
import { STATE_WORDS, type State } from "../model/region-cells.ts";
import { type Change, compareMaps, copyMap, type MapCopy } from "../model/region-changes.ts";
import type { Timeline } from "../model/timeline.ts";
import type { Chosen } from "./conversation-view.ts";
import { byId, duration, element, grouped, plural } from "./dom.ts";
import { EXPLANATIONS } from "./explanations.ts";

/** How many bytes of one field are shown, and how many fields of a payload. */
const FIELD_BYTES_SHOWN = 32;
const FIELDS_SHOWN = 48;
const CHANGES_SHOWN = 24;

export class DetailView {
  onRegion: (region: number) => void = () => {};
  private readonly body = byId("detail-body");
  private readonly title = byId("detail-title");
  private shown = "";

  constructor(
    private readonly abi: Abi,
    private readonly console: Console,
  ) {
    // A scrollable element must be reachable by keyboard.
    this.body.setAttribute("tabindex", "0");
    this.body.setAttribute("role", "group");
    this.body.setAttribute("aria-label", "Bytes and changes of the event");
  }

  /** Shows a line, unless it is already shown. */
  draw(timeline: Timeline, lines: Lines, chosen: Chosen): void {
    const key = `${chosen.event}.${chosen.place}.${timeline.position}`;
    if (key === this.shown) return;
    this.shown = key;
    if (chosen.event < 0 || chosen.event >= timeline.length) {
      this.title.textContent = "Event";
      this.body.replaceChildren(element("p", { class: "quiet" }, "Before the first event: nothing has happened yet."));
      return;
    }
    const line = lines.line(chosen.event, chosen.place);
    this.title.textContent = `Event ${grouped(chosen.event)} (${addressOf(timeline.trace, chosen.event)})`;
    this.body.replaceChildren(
      ...this.heading(timeline, line),
      ...this.changes(timeline, chosen.event),
      element("h3", {}, "Bytes"),
      ...this.bytes(timeline, chosen),
    );
    this.body.scrollTop = 0;
  }

  /** Forgets the shown line, because the source changes. */
  reset(): void {
    this.shown = "";
  }

  private heading(timeline: Timeline, line: Line): HTMLElement[] {
    const from = line.from === line.to ? `from the ${line.from}` : `from ${line.from} to ${line.to}`;
    const made = [element("p", { class: "message" }, element("b", { class: "name" }, line.name), ` ${line.words}`)];
    const explanation = EXPLANATIONS[line.name];
    if (explanation !== undefined && line.place === 0) made.push(element("p", { class: "explanation" }, explanation));
    const facts = [from, line.about, `at ${(timeline.index.timeNs(line.event) / 1e9).toFixed(9)} s`];
    const answerNs = timeline.index.answerNs.at(line.event);
    if (line.place === 0 && !Number.isNaN(answerNs)) {
      facts.push(answerNs === 0 ? "answered at once" : `answered after ${duration(answerNs)}`);
    }
    const roundTripNs = timeline.source.roundTripNs(line.event);
    if (line.place === 0 && !Number.isNaN(roundTripNs)) facts.push(`round trip ${duration(roundTripNs)}`);
    made.push(element("p", { class: "quiet" }, facts.filter((fact) => fact !== "").join(" · ")));
    return made;
  }

  /** What the event changed, found by comparing the core before and after it. */
  private changes(timeline: Timeline, event: number): HTMLElement[] {
    const before = this.maps(timeline.engineAt(event));
    const after = this.maps(timeline.engineAt(event + 1));
    timeline.seek(timeline.position);
    const heading = element("h3", {}, "Changed in the map");
    if (before === null || after === null) {
      return [heading, element("p", { class: "quiet" }, "The trace does not hold the core's state here.")];
    }
    const items: HTMLElement[] = [];
    for (const [key, { recovering }] of after) {
      if (recovering === null || recovering === before.get(key)?.recovering) continue;
      items.push(element("li", {}, this.regionLink(recovering, recovering), " → ", stateMark("recovering")));
    }
    for (const [key, map] of after) {
      const old = before.get(key);
      if (old === undefined) {
        items.push(element("li", {}, `A log with ${plural(map.regionCount, "region")} was created.`));
        continue;
      }
      const { changes, count } = compareMaps(old, map, CHANGES_SHOWN);
      for (const change of changes) items.push(this.change(change));
      const listed = changes.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      if (count > listed) items.push(element("li", {}, `and ${plural(count - listed, "more region")}`));
    }
    for (const key of before.keys()) if (!after.has(key)) items.push(element("li", {}, "A log was removed."));
    if (items.length === 0) return [heading, element("p", { class: "quiet" }, "Nothing.")];
    return [heading, element("ul", { class: "changes" }, ...items)];
  }

  private maps(engine: Engine | null): Map<string, MapCopy> | null {
    if (engine === null) return null;
    const memory = engine.bytes().buffer as ArrayBuffer;
    return new Map(readLogs(this.abi, memory).map((log) => [log.key, copyMap(memory, log)]));
  }

  private change({ first, last, from, to }: Change): HTMLElement {
    return element("li", {}, this.regionLink(first, last), " ", stateMark(from), " → ", stateMark(to));
  }

  private regionLink(first: number, last: number): HTMLElement {
    const words = first === last ? `region ${grouped(first)}` : `regions ${grouped(first)} to ${grouped(last)}`;
    return element("button", { type: "button", class: "link", click: () => this.onRegion(first) }, words);
  }

  private bytes(timeline: Timeline, { event, place }: Chosen): HTMLElement[] {
    const { abi } = this;
    const { input, effects } = readEvent(timeline.trace, event);
    if (place === 0) {
      const isDatagram = input.kind === abi.INPUT_KIND_DATAGRAM;
      const groups = isDatagram ? datagramFields(abi, this.console, input.payload, true) : inputFields(abi, input);
      return bytesTable(groups, input.payload);
    }
    const effect = listedEffects(abi, effects)[place - 1];
    if (effect === undefined) return [];
    const isReply = effect.kind === abi.EFFECT_KIND_SEND;
    const groups = isReply ? datagramFields(abi, this.console, effect.payload, false) : effectFields(abi, effect);
    return bytesTable(groups, effect.payload);
  }
}

/** The colour of a state with words, by default the state's own. */
export function stateMark(state: State | "recovering", words: string = STATE_WORDS[state]): HTMLElement {
  return element("span", { class: `state state-${state}` }, words);
}

function bytesTable(groups: readonly FieldGroup[], bytes: Uint8Array): HTMLElement[] {
  if (groups.length === 0) return [element("p", { class: "quiet" }, "It has no bytes.")];
  const heads = ["offset", "bytes", "field", "meaning"].map((text) => element("th", { scope: "col" }, text));
  const table = element("table", { class: "bytes" }, element("thead", {}, element("tr", {}, ...heads)));
  groups.forEach(({ name, fields }, group) => {
    const part = element("tbody", { class: `group-${group % 4}` });
    const size = fields.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const head = element(
      "th",
      { colspan: 4, scope: "rowgroup" },
      name,
      element("span", {}, ` ${plural(size, "byte")}`),
    );
    part.append(element("tr", { class: "group" }, head));
    for (const field of fields.slice(0, FIELDS_SHOWN)) part.append(fieldRow(field, bytes));
    if (fields.length > FIELDS_SHOWN) {
      const more = `and ${plural(fields.length - FIELDS_SHOWN, "more field")}`;
      part.append(element("tr", {}, element("td", { colspan: 4 }, more)));
    }
    table.append(part);
  });
  return [table];
}

function fieldRow({ offset, sizeBytes, name, value }: Field, bytes: Uint8Array): HTMLElement {
  return element(
    "tr",
    {},
    element("td", { class: "offset" }, String(offset)),
    element("td", { class: "hex" }, hex(bytes.subarray(offset, offset + sizeBytes))),
    element("td", { class: "field" }, name),
    element("td", { class: "says" }, value),
  );
}

/** Bytes in hexadecimal; a long run of zeros at the end is shown by its length. */
function hex(bytes: Uint8Array): string {
  let used = bytes.length;
  while (used > 0 && bytes[used - 1] === 0) used--;
  const zeros = bytes.length - used;
  const shown = zeros > 8 ? used : bytes.length;
  const digits = Array.from(bytes.subarray(0, Math.min(shown, FIELD_BYTES_SHOWN)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join(" ");
  const cut = shown > FIELD_BYTES_SHOWN ? ` … ${grouped(shown)} bytes` : "";
  return zeros > 8 ? `${digits}${cut} + ${plural(zeros, "zero")}` : digits + cut;
}
