// Buttons that move through time, and the page's position in words.

import { parseAddress } from "../../common/trace/address.ts";
import { FLAG_ERROR, FLAG_FLUSHED, FLAG_STATE } from "../model/event-index.ts";
import { type Player, SPEEDS } from "../player.ts";
import { byId, element, grouped, setText } from "./dom.ts";

/** What a jump can look for. */
export const JUMPS = [
  { flag: FLAG_ERROR, name: "error", words: "error", key: "e" },
  { flag: FLAG_FLUSHED, name: "flush", words: "answered flush", key: "f" },
  { flag: FLAG_STATE, name: "state change", words: "change of a log's state", key: "s" },
] as const;

export class Transport {
  private readonly play = element("button", { type: "button", class: "play", title: "Play or pause (space)" });
  private readonly where = element("output", { class: "where" });
  private readonly go = element("input", {
    type: "text",
    "aria-label": "Go to event: its place, or its address such as 3:252",
    size: 9,
  });
  private readonly speed = element("select", { "aria-label": "Speed in events per second" });

  constructor(
    private readonly player: Player,
    onChange: () => void,
  ) {
    const act = (deed: () => void) => () => {
      deed();
      onChange();
    };
    const button = (sign: string, label: string, key: string, deed: () => void) =>
      element("button", { type: "button", "aria-label": label, title: `${label} (${key})`, click: act(deed) }, sign);
    this.play.addEventListener(
      "click",
      act(() => player.toggle()),
    );
    for (const speed of SPEEDS) this.speed.append(element("option", { value: speed }, `${grouped(speed)}/s`));
    this.speed.value = String(player.eventsPerSecond);
    this.speed.addEventListener("change", () => {
      player.eventsPerSecond = Number(this.speed.value);
    });
    const goTo = act(() => {
      const text = this.go.value.replaceAll(/[,\s]/g, "");
      const address = parseAddress(text);
      const event = Number(text);
      if (address !== null) player.seekEvent(address);
      else if (Number.isInteger(event) && event >= 0) player.seek(event + 1);
    });
    const form = element("form", { class: "go" }, element("span", { "aria-hidden": "true" }, "event"), this.go);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      goTo();
      // The keys that move through time work again.
      this.go.blur();
    });
    const jumps = JUMPS.map(({ flag, name, words, key }) =>
      element(
        "span",
        { class: "jump", role: "group", "aria-label": `Jump to ${name}` },
        button("‹", `Previous ${name}`, key.toUpperCase(), () => player.jump(flag, -1, words)),
        element("span", { "aria-hidden": "true" }, name),
        button("›", `Next ${name}`, key, () => player.jump(flag, 1, words)),
      ),
    );
    byId("transport").append(
      element(
        "span",
        { class: "steps" },
        button("⇤", "To the beginning", "Home", () => player.seek(0)),
        button("←", "One event back", "Left", () => player.step(-1)),
        this.play,
        button("→", "One event forward", "Right", () => player.step(1)),
        button("⇥", "To the end", "End", () => player.seek(player.timeline.length)),
      ),
      this.speed,
      form,
      this.where,
      element("span", { class: "jumps" }, ...jumps),
    );
  }

  draw(): void {
    const { player } = this;
    const { position, length, index } = player.timeline;
    setText(this.play, player.isPlaying ? "Pause" : "Play");
    const seconds = position === 0 ? 0 : index.timeNs(position - 1) / 1e9;
    setText(this.where, `of ${grouped(length)} · ${seconds.toFixed(6)} s`);
    if (document.activeElement !== this.go) this.go.value = position === 0 ? "–" : grouped(position - 1);
    if (document.activeElement !== this.speed) this.speed.value = String(player.eventsPerSecond);
  }
}
