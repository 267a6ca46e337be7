// Makes a life that fails small: leaves out mirrors, boots and actions, and cuts time, as long as the rest still ends with
// the same kind of violation. Each attempt is a life lived from its beginning, so what is left needs no proof.

import type { Boot, LifeScript } from "./choices.ts";
import type { ScenarioViolation } from "./scenario.ts";

/** How to live a life again, and how long to try. */
export interface ShrinkOptions {
  /** Lives a script; returns how it failed, or null where it did not. */
  live(script: LifeScript): ScenarioViolation | null;
  /** Asked before each attempt, after so many: whether to make it. What is smallest by then is the result. */
  mayGoOn(lives: number): boolean;
  /** Called after each attempt. */
  onAttempt?(lives: number, best: LifeScript): void;
}

/** A life that fails, made small. */
export interface Shrunk {
  /** Of the smallest life that was found: `violation.script` is that life. */
  violation: ScenarioViolation;
  /** Lives lived. */
  lives: number;
}

/** What is kept of a boot's events, the least first. */
const CUTS = [0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8] as const;

/** Leaves out of a life what it does not need to fail in the same way. */
export function shrink(violation: ScenarioViolation, options: ShrinkOptions): Shrunk {
  return new Shrinker(violation, options).run();
}

/** How many actions take place. */
export function actionCount({ actions }: LifeScript): number {
  return Object.values(actions).reduce((sum, { length }) => sum + length, 0);
}

/** Events until the life comes to rest or fails. */
export function eventCount({ boots }: LifeScript): number {
  return boots.at(-1)?.endEvent ?? 0;
}

class Shrinker {
  private lives = 0;

  constructor(
    private best: ScenarioViolation,
    private readonly options: ShrinkOptions,
  ) {}

  run(): Shrunk {
    for (let isSmaller = true; isSmaller; ) {
      isSmaller = this.dropMirrors();
      isSmaller = this.dropBoots() || isSmaller;
      isSmaller = this.dropActions() || isSmaller;
      isSmaller = this.cutTime() || isSmaller;
    }
    return { violation: this.best, lives: this.lives };
  }

  /** What took place until the violation is all that the next attempt begins with. */
  private attempt(script: LifeScript): boolean {
    if (!this.options.mayGoOn(this.lives)) return false;
    this.lives++;
    const violation = this.options.live(script);
    const isSame = violation !== null && violation.kind === this.best.kind;
    if (isSame) this.best = violation;
    this.options.onAttempt?.(this.lives, this.best.script);
    return isSame;
  }

  private dropMirrors(): boolean {
    let isSmaller = false;
    for (const mirror of this.best.script.mirrors) {
      const { script } = this.best;
      const mirrors = script.mirrors.filter((other) => other !== mirror);
      if (mirrors.length > 0 && this.attempt({ ...script, mirrors })) isSmaller = true;
    }
    return isSmaller;
  }

  private dropBoots(): boolean {
    let isSmaller = false;
    for (const { number } of this.best.script.boots) {
      const { script } = this.best;
      const boots = script.boots.filter((boot) => boot.number !== number);
      if (boots.length > 0 && boots.length < script.boots.length && this.attempt({ ...script, boots }))
        isSmaller = true;
    }
    return isSmaller;
  }

  /** Delta debugging: first halves of all actions, then ever smaller parts, down to each by itself. */
  private dropActions(): boolean {
    let isSmaller = false;
    for (let size = Math.ceil(actionCount(this.best.script) / 2); size >= 1; size = Math.floor(size / 2)) {
      // What comes late is needed least: the violation has happened by then, or nearly.
      for (let end = actionCount(this.best.script); end > 0; end -= size) {
        const { script } = this.best;
        end = Math.min(end, actionCount(script));
        if (this.attempt({ ...script, actions: without(script, Math.max(0, end - size), end) })) isSmaller = true;
      }
    }
    return isSmaller;
  }

  /** Ends boots earlier: by events, and by time. Those after it keep their length. */
  private cutTime(): boolean {
    let isSmaller = false;
    for (let i = 0; i < this.best.script.boots.length; i++) {
      for (const share of CUTS) {
        const { script } = this.best;
        const begin = script.boots[i - 1]?.endEvent ?? 0;
        const boot = script.boots[i];
        if (boot === undefined) break;
        const fewer = Math.floor((boot.endEvent - begin) * (1 - share));
        if (fewer === 0 || !this.attempt({ ...script, boots: shortened(script.boots, i, fewer) })) continue;
        isSmaller = true;
        break;
      }
    }
    return isSmaller;
  }
}

/** The actions but those from `first` to before `end`, counted through all sources. */
function without({ actions }: LifeScript, first: number, end: number): LifeScript["actions"] {
  let passed = 0;
  const left: Record<string, readonly number[]> = {};
  for (const [source, numbers] of Object.entries(actions)) {
    const from = passed;
    passed += numbers.length;
    const kept = numbers.filter((_, i) => from + i < first || from + i >= end);
    if (kept.length > 0) left[source] = kept;
  }
  return left;
}

function shortened(boots: readonly Boot[], index: number, fewerEvents: number): Boot[] {
  return boots.map((boot, i) => (i < index ? boot : { ...boot, endEvent: boot.endEvent - fewerEvents }));
}
