// Runs cases against a host and says what came of each.

import type { Case } from "./cases.ts";
import { Mistake, RULES, type Rule } from "./mistake.ts";
import type { Host } from "./program.ts";
import { Scene } from "./scene.ts";
import type { Core } from "./stage.ts";

/** What came of a case. */
export interface Verdict {
  readonly name: string;
  /** What happened in it. */
  readonly words: string;
  readonly seed: number;
  /** Null where the host did everything right. */
  readonly mistake: {
    readonly expected: string;
    readonly came: string;
    readonly rule: Rule;
    /** The last frames before it. */
    readonly trail: readonly string[];
  } | null;
  /** Frames of the program, and answers of its core among them. */
  readonly frames: number;
  readonly answers: number;
}

/** Runs one case with processes of `host`, whose directory must be empty. Throws what is no fault of the host. */
export function runCase({ name, words, run }: Case, core: Core, host: Host, seed: number): Verdict {
  const scene = new Scene(core, host, seed);
  const { stage } = scene;
  let mistake: Verdict["mistake"] = null;
  try {
    run(scene);
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    const { expected, came, rule } = error;
    mistake = { expected, came, rule: RULES[rule], trail: [...stage.trail] };
  } finally {
    stage.dispose();
  }
  return { name, words, seed, mistake, frames: stage.frameCount, answers: stage.sendCount };
}
