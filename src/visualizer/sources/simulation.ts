// The simulated kernel in this tab as a source. A link holds its settings and deeds, so it lives the same life anywhere.

import { SECOND_NS } from "../../common/sim/clock.ts";
import { Violation } from "../../common/sim/violation.ts";
import type { Trace } from "../../common/trace/trace.ts";
import type { Core } from "../core.ts";
import { type Deed, type Done, type Settings, writeSimulation } from "./settings.ts";
import { SimulatedLife } from "./simulated-life.ts";
import type { Source, WorldNote } from "./source.ts";

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
    return writeSimulation(settings, [...done, ...this.planned]);
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
      else if (life.nowNs - silentSinceNs > SILENCE_NS) this.problem = "The simulation has nothing left to do.";
      if (performance.now() >= endMs) break;
    }
    if (tape.eventCount >= EVENTS_MAX)
      this.problem = "This tab holds as many events as it can keep. Restart the simulation.";
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
      if (!life.step()) this.problem = "The simulation has nothing left to do.";
    } catch (error) {
      // The simulated machine watches itself: a rule of the dirty log that is broken ends it, with a sentence.
      if (!(error instanceof Violation)) throw error;
      this.problem = error.message;
    }
  }
}
