// The files of a simulated life: the trace of its engines, and the choices of a shrunk life.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LifeScript } from "../common/sim/choices.ts";
import { LifeRecorder } from "../common/sim/life-recorder.ts";
import { runScenario, type ScenarioOptions, type ScenarioResult, ScenarioViolation } from "../common/sim/scenario.ts";
import { packageVersion } from "./installation.ts";

/** A shrunk life, as a file. */
export interface LifeChoices {
  seed: number;
  /** Name of the deliberate fault; null for none. */
  fault: string | null;
  /** What went wrong, for people who read the file. */
  violation: string;
  script: LifeScript;
}

export class LifeFiles {
  private readonly facts: { application: string; coreSha256: string };

  /** `wasm` is the core to run. Files without a chosen name go to `directory`, which is created if it is missing. */
  constructor(
    wasm: Uint8Array,
    private readonly directory: string,
  ) {
    this.facts = {
      application: `dm-ulog ${packageVersion()}`,
      coreSha256: createHash("sha256").update(wasm).digest("hex"),
    };
  }

  /** Runs a life and writes its trace to `file`, whether it ends well or throws. */
  record(life: ScenarioOptions, file: string): ScenarioResult {
    const recorder = new LifeRecorder(`seed ${life.seed}`, this.facts);
    try {
      return runScenario({ ...life, onEngine: recorder.onEngine });
    } finally {
      writeFileSync(file, recorder.finish());
    }
  }

  /** Runs a failing life again, which the same seed makes identical, and writes its trace. Returns the file's path. */
  writeTrace(life: ScenarioOptions): string {
    const file = this.path(life.seed, "pcapng");
    try {
      this.record(life, file);
    } catch (error) {
      if (error instanceof ScenarioViolation) return file;
      throw error;
    }
    throw new Error(`Seed ${life.seed} did not fail when it ran again: its life depends on more than the seed.`);
  }

  /** Writes the choices of a shrunk life. Returns the file's path. */
  writeChoices({ seed, fault }: ScenarioOptions, { message, script }: ScenarioViolation): string {
    const file = this.path(seed, "json");
    const choices: LifeChoices = { seed, fault: fault?.name ?? null, violation: message, script };
    writeFileSync(file, `${JSON.stringify(choices)}\n`);
    return file;
  }

  private path(seed: number, extension: string): string {
    mkdirSync(this.directory, { recursive: true });
    return join(this.directory, `dm-ulog-sim-${seed}.${extension}`);
  }
}

/** Reads what `writeChoices` wrote. Throws with a sentence if the file holds something else. */
export function readChoices(file: string): LifeChoices {
  let choices: Partial<LifeChoices> | null;
  try {
    choices = JSON.parse(readFileSync(file, "utf8")) as Partial<LifeChoices> | null;
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`);
  }
  const script = choices?.script;
  const isLife =
    Number.isSafeInteger(choices?.seed) &&
    Array.isArray(script?.boots) &&
    script.boots.length > 0 &&
    Array.isArray(script.mirrors) &&
    script.mirrors.length > 0 &&
    typeof script.actions === "object";
  if (!isLife) throw new Error(`${file} was not written by --shrink: it does not hold the choices of a life.`);
  return choices as LifeChoices;
}
