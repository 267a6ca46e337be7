// The settings of the simulated machine, and buttons for what can happen to it.

import { PATTERNS } from "../../common/sim/workload.ts";
import type { Deed, Settings } from "../sources/settings.ts";
import type { Simulation } from "../sources/simulation.ts";
import { byId, element, grouped, setText } from "./dom.ts";

const REGION_COUNTS = [16, 128, 1024, 2048, 16_384, 131_072, 1_048_576];
const WRITER_COUNTS = [1, 4, 16, 64];
const LOGS = { disk: "on a log device", core: "in memory" } as const;

const BUTTONS: readonly { deed: Deed; label: string; title: string }[] = [
  { deed: "power-cut", label: "Cut the power", title: "The machine loses power during writes, and starts again" },
  { deed: "server-death", label: "Kill the server", title: "The server dies, and a new one restores its logs" },
  { deed: "leg-failure", label: "Fail a disk", title: "The second disk refuses every write" },
  { deed: "suspend", label: "Suspend, resume", title: "Does what dmsetup suspend and resume do" },
  { deed: "resync", label: "Resync all", title: "Loads a table with the option sync, so that every region is copied" },
];

export class Knobs {
  onBegin: (settings: Settings) => void = () => {};
  onDeed: (deed: Deed) => void = () => {};
  private readonly section = byId("knobs");
  private simulation: Simulation | null = null;
  private readonly fields: {
    pattern: HTMLSelectElement;
    regionCount: HTMLSelectElement;
    writers: HTMLSelectElement;
    log: HTMLSelectElement;
    seed: HTMLInputElement;
    integratedFlush: HTMLInputElement;
  };
  private readonly legButton: HTMLButtonElement;
  private readonly summary = element("summary");
  private readonly settings = element("details", { class: "machine" });

  constructor() {
    this.fields = {
      pattern: select(PATTERNS.map((pattern) => [pattern, pattern])),
      regionCount: select(REGION_COUNTS.map((count) => [String(count), grouped(count)])),
      writers: select(WRITER_COUNTS.map((count) => [String(count), String(count)])),
      log: select(Object.entries(LOGS)),
      seed: element("input", { type: "number", min: 0, max: 0xffff_ffff, step: 1 }),
      integratedFlush: element("input", { type: "checkbox" }),
    };
    const { pattern, regionCount, writers, log, seed, integratedFlush } = this.fields;
    const form = element(
      "form",
      { class: "settings panel" },
      label("workload", pattern),
      label("writers", writers),
      label("regions", regionCount),
      label("log", log),
      label("seed", seed),
      label("integrated flush", integratedFlush),
      element("button", { type: "submit" }, "Restart"),
      element("button", { type: "button", click: () => this.save() }, "Save this life as a trace"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.settings.open = false;
      this.onBegin(this.chosen());
    });
    this.settings.append(this.summary, form);
    const buttons = BUTTONS.map(({ deed, label: text, title }) => {
      return element("button", { type: "button", title, "data-deed": deed, click: () => this.act(deed) }, text);
    });
    this.legButton = buttons[2] as HTMLButtonElement;
    const deeds = element("div", { class: "deeds", role: "group", "aria-label": "Things that can happen" }, ...buttons);
    this.section.append(deeds, this.settings);
  }

  /** Shows the settings of a simulation; null hides them. */
  load(simulation: Simulation | null): void {
    this.simulation = simulation;
    this.section.hidden = simulation === null;
    if (simulation === null) return;
    const { pattern, regionCount, writers, log, seed, integratedFlush } = simulation.life.settings;
    const { fields } = this;
    fields.pattern.value = pattern;
    choose(fields.regionCount, regionCount);
    choose(fields.writers, writers);
    fields.log.value = log;
    fields.seed.value = String(seed);
    fields.integratedFlush.checked = integratedFlush;
    const words = [
      pattern,
      `${writers} writers`,
      `${grouped(regionCount)} regions`,
      `log ${LOGS[log]}`,
      `seed ${seed}`,
    ];
    setText(this.summary, `Machine: ${words.join(", ")}`);
    this.draw();
  }

  draw(): void {
    this.legButton.textContent = this.simulation?.life.hasFailedLeg ? "Disk is back" : "Fail a disk";
  }

  private act(deed: Deed): void {
    const isBack = deed === "leg-failure" && this.simulation?.life.hasFailedLeg;
    this.onDeed(isBack ? "leg-return" : deed);
    this.draw();
  }

  private save(): void {
    if (this.simulation === null) return;
    const url = URL.createObjectURL(this.simulation.life.tape.file());
    element("a", { href: url, download: `dm-ulog-seed-${this.simulation.life.settings.seed}.pcapng` }).click();
    URL.revokeObjectURL(url);
  }

  private chosen(): Settings {
    const { fields } = this;
    const seed = Math.floor(Number(fields.seed.value));
    return {
      seed: seed >= 0 && seed <= 0xffff_ffff ? seed : 0,
      regionCount: Number(fields.regionCount.value),
      pattern: PATTERNS.find((pattern) => pattern === fields.pattern.value) ?? PATTERNS[0],
      writers: Number(fields.writers.value),
      log: fields.log.value === "core" ? "core" : "disk",
      integratedFlush: fields.integratedFlush.checked,
    };
  }
}

function select(options: readonly (readonly [string, string])[]): HTMLSelectElement {
  return element("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
}

/** Chooses a number. A link may name one that is not in the list. */
function choose(field: HTMLSelectElement, value: number): void {
  if (![...field.options].some((option) => option.value === String(value))) {
    field.append(element("option", { value }, grouped(value)));
  }
  field.value = String(value);
}

function label(text: string, field: HTMLElement): HTMLElement {
  field.setAttribute("aria-label", text);
  return element("label", {}, element("span", {}, text), field);
}
