// Which actions of a life take place. Every I/O, every deed of an operator and every trouble of a server is an action with
// a stream of random numbers of its own, so that to leave one out changes no draw of another: that is what makes a life
// that fails small (shrink.ts).

import type { Random } from "./random.ts";

/** From one switching on of the machine to the power cut that ends it, or to the life's end. */
export interface Boot {
  /** Which of the life's streams its operators and troubles draw from, from 0. */
  readonly number: number;
  /** It ends with this event, counted from the life's beginning, or before the first one that is later than `endNs`. */
  readonly endEvent: number;
  readonly endNs: number;
}

/** All that takes place in a life; with the seed, the fault and the core it is the life. */
export interface LifeScript {
  readonly boots: readonly Boot[];
  /** Numbers of the mirrors that are there. */
  readonly mirrors: readonly number[];
  /** By source, the numbers of its actions that take place, ascending from 0 on. A source that is not named has none. */
  readonly actions: Readonly<Record<string, readonly number[]>>;
}

export interface Action {
  readonly random: Random;
  /** How long its source pauses before it: its own pause and those of the actions before it that do not take place. */
  readonly pauseNs: number;
}

/** The actions of one source, one after the other. */
export class Actions {
  /** Numbers of those that have begun. */
  readonly taken: number[] = [];
  private count = 0;
  private readonly last: number;

  /** `kept` are the numbers that take place: all where left out. */
  constructor(
    private readonly random: Random,
    private readonly kept?: ReadonlySet<number>,
  ) {
    this.last = kept === undefined ? Infinity : Math.max(-1, ...kept);
  }

  /** The next action that takes place; null where none is left. `drawPauseNs` draws the pause before any of them. */
  next(drawPauseNs: (random: Random) => number): Action | null {
    let pauseNs = 0;
    while (this.count <= this.last) {
      const random = this.random.fork();
      pauseNs += drawPauseNs(random);
      const number = this.count++;
      if (this.kept !== undefined && !this.kept.has(number)) continue;
      this.taken.push(number);
      return { random, pauseNs };
    }
    return null;
  }
}

/** The sources of a life's actions. */
export class Choices {
  private readonly sources = new Map<string, Actions>();

  constructor(private readonly script: LifeScript | undefined) {}

  source(name: string, random: Random): Actions {
    const kept = this.script === undefined ? undefined : new Set(this.script.actions[name]);
    const actions = new Actions(random, kept);
    this.sources.set(name, actions);
    return actions;
  }

  /** What has taken place so far; sources of which nothing has are left out. */
  taken(): Record<string, number[]> {
    return Object.fromEntries(
      [...this.sources].filter(([, { taken }]) => taken.length > 0).map(([name, { taken }]) => [name, [...taken]]),
    );
  }
}
