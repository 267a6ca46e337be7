// The simulated kernel in this tab as a source. A link holds its settings and deeds, so it lives the same life anywhere.

import { SECOND_NS } from "../../common/sim/clock.ts";
import { Violation } from "../../common/sim/violation.ts";
import { PATTERNS } from "../../common/sim/workload.ts";
import type { Trace } from "../../common/trace/trace.ts";
import type { Core } from "../core.ts";
import { DEEDS, type Deed, type Done, REGIONS_MAX, type Settings, SimulatedLife } from "./simulated-life.ts";
import type { Source, WorldNote } from "./source.ts";

export const DEFAULTS: Settings = {
  seed: 7,
  regionCount: 2048,
  pattern: "hot set",
  writers: 16,
  log: "disk",
  integratedFlush: true,
};

/** Every event is kept: so many take 250 MiB. */
const EVENTS_MAX = 400_000;
/** Events of the clock between two looks at the real time. */
const SLICE = 64;
/** Where nothing happens for so long, nothing will. */
const SILENCE_NS = 120 * SECOND_NS;

export class Simulation implements Source {
  readonly progress = null;
  readonly life: SimulatedLife;
  problem: string | null = null;
  /** Deeds of a link that are still to come, in order. */
  private readonly planned: Done[];

  constructor(settings: Settings, planned: readonly Done[], core: Core) {
    this.life = new SimulatedLife(settings, core.module, core.console, core.sha256);
    this.planned = [...planned];
  }

  get trace(): Trace {
    return this.life.tape.trace;
  }

  get eventCount(): number {
    return this.trace.eventCount;
  }

  update(): void {
    this.life.tape.update();
  }

  get notes(): readonly WorldNote[] {
    return this.life.notes;
  }

  roundTripNs(event: number): number {
    return this.life.roundTripNs(event);
  }

  get title(): string {
    return `simulated kernel, seed ${this.life.settings.seed}`;
  }

  get address(): string {
    const { settings, done } = this.life;
    const parts = new URLSearchParams();
    for (const [name, value] of Object.entries(settings)) {
      if (value !== DEFAULTS[name as keyof Settings]) parts.set(name, String(value));
    }
    const deeds = [...done, ...this.planned];
    if (deeds.length > 0) parts.set("do", deeds.map(({ deed, at }) => `${deed}@${at}`).join("."));
    return `sim&${parts}`.replace(/&$/, "");
  }

  extend(eventCount: number, budgetMs: number): boolean {
    const endMs = performance.now() + budgetMs;
    const { life } = this;
    const { tape } = life;
    const wanted = Math.min(eventCount, EVENTS_MAX);
    let silentSinceNs = life.nowNs;
    while (tape.eventCount < wanted && this.problem === null) {
      const before = tape.eventCount;
      for (let i = 0; i < SLICE && tape.eventCount < wanted; i++) this.step();
      if (tape.eventCount !== before) silentSinceNs = life.nowNs;
      else if (life.nowNs - silentSinceNs > SILENCE_NS) this.problem = "Nothing happens any more.";
      if (performance.now() >= endMs) break;
    }
    if (tape.eventCount >= EVENTS_MAX) this.problem = "This tab keeps no more events: begin anew.";
    return this.problem === null;
  }

  /** Does something to the machine at its latest instant. */
  do(deed: Deed): void {
    this.planned.length = 0;
    this.life.do(deed);
  }

  private step(): void {
    const { life, planned } = this;
    while (planned[0] !== undefined && planned[0].at <= life.clock.eventCount) {
      life.do((planned.shift() as Done).deed);
    }
    try {
      if (!life.step()) this.problem = "Nothing happens any more.";
    } catch (error) {
      // The simulated machine watches itself: a rule of the dirty log that is broken ends it, with a sentence.
      if (!(error instanceof Violation)) throw error;
      this.problem = error.message;
    }
  }
}

/** Settings and deeds of an address; what it leaves out or cannot mean is as in DEFAULTS. */
export function readSimulation(parts: URLSearchParams): { settings: Settings; planned: Done[] } {
  const number = (name: "seed" | "regionCount" | "writers", lowest: number, highest: number) => {
    const value = Number(parts.get(name) ?? Number.NaN);
    return Number.isInteger(value) && value >= lowest && value <= highest ? value : DEFAULTS[name];
  };
  const pattern = PATTERNS.find((known) => known === parts.get("pattern")) ?? DEFAULTS.pattern;
  const planned = (parts.get("do") ?? "").split(".").flatMap((word) => {
    const [name, at] = word.split("@");
    const deed = DEEDS.find((known) => known === name);
    return deed === undefined || !Number.isInteger(Number(at)) ? [] : [{ deed, at: Number(at) }];
  });
  return {
    settings: {
      seed: number("seed", 0, 0xffff_ffff),
      regionCount: number("regionCount", 2, REGIONS_MAX),
      pattern,
      writers: number("writers", 1, 256),
      log: parts.get("log") === "core" ? "core" : DEFAULTS.log,
      integratedFlush: parts.get("integratedFlush") !== "false",
    },
    planned,
  };
}
