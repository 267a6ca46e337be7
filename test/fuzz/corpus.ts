// Programs that came to something new, and how others are made of them.
//
// New is an outcome that no program had before: what was asked or told, what was under way on the device before and after,
// which kinds of effects and which error came of it, and how much waits. It is what the engine shows to the outside, and
// not which of its code ran; that would need an instrumented core.

import { Random } from "../../src/common/sim/random.ts";
import { Misdeed } from "./judge.ts";
import type { Limit } from "./limits.ts";
import { DEED_KINDS, type Deed, World, type WorldOptions } from "./world.ts";

export type Program = readonly Deed[];

/** A program that makes the core do what it must not. */
export interface Crasher {
  program: Program;
  isHonest: boolean;
  message: string;
}

const LENGTH_MAX = 120;
const FIRST_LENGTH = 40;
/** Programs without a parent, one in so many. */
const FRESH_ONE_IN = 8;

export class Fuzzer {
  readonly outcomes = new Set<string>();
  readonly corpus: { program: Program; isHonest: boolean }[] = [];
  readonly crashers: Crasher[] = [];
  programs = 0;
  deeds = 0;
  inputs = 0;
  /** How often each limit of the core was reached. */
  readonly limits = new Map<Limit, number>();
  private readonly random: Random;

  constructor(
    seed: number,
    private readonly module: WebAssembly.Module,
  ) {
    this.random = new Random(seed);
  }

  /** Makes and runs one program. Returns the crasher where it is one. */
  step(): Crasher | null {
    const { random } = this;
    const isFresh = this.corpus.length === 0 || random.oneIn(FRESH_ONE_IN);
    const parent = isFresh ? null : random.pick(this.corpus);
    const isHonest = parent?.isHonest ?? random.oneIn(2);
    const program = parent === null ? this.fresh() : this.changed(parent.program);
    let isNew = false;
    const onOutcome = (outcome: string) => {
      const named = `${isHonest} ${outcome}`;
      if (!this.outcomes.has(named)) isNew = true;
      this.outcomes.add(named);
    };
    this.programs++;
    this.deeds += program.length;
    const onLimit = (limit: Limit) => this.limits.set(limit, (this.limits.get(limit) ?? 0) + 1);
    const world = new World({ module: this.module, isHonest, onOutcome, onLimit });
    const message = misdeedIn(world, program);
    this.inputs += world.inputs;
    if (message !== null) {
      const crasher = { program, isHonest, message };
      this.crashers.push(crasher);
      return crasher;
    }
    if (isNew) this.corpus.push({ program, isHonest });
    return null;
  }

  private fresh(): Deed[] {
    return Array.from({ length: this.random.between(1, FIRST_LENGTH) }, () => this.deed());
  }

  private deed(): Deed {
    const { random } = this;
    return [random.below(DEED_KINDS), random.uint32(), random.uint32(), random.uint32()];
  }

  private changed(parent: Program): Program {
    const { random } = this;
    let program = [...parent];
    for (let times = random.pick([1, 1, 2, 4]); times > 0; times--) {
      const at = random.below(program.length + 1);
      const length = random.between(1, random.pick([1, 4, 20]));
      switch (random.below(6)) {
        case 0:
          program.splice(at, 0, ...Array.from({ length }, () => this.deed()));
          break;
        case 1:
          program.splice(at, length);
          break;
        case 2:
          program.splice(at, 0, ...program.slice(at, at + length));
          break;
        case 3: {
          const other = random.pick(this.corpus).program;
          program = [...program.slice(0, at), ...other.slice(random.below(other.length))];
          break;
        }
        default: {
          const deed = program[at];
          if (deed === undefined) program.push(this.deed());
          else
            program[at] = deed.map((number, i) =>
              random.oneIn(3) ? (this.deed()[i] as number) : number,
            ) as unknown as Deed;
        }
      }
    }
    return program.length === 0 ? [this.deed()] : program.slice(0, LENGTH_MAX);
  }
}

/** What a program makes the core do wrong; null where nothing. */
export function misdeedOf(program: Program, options: WorldOptions): string | null {
  return misdeedIn(new World(options), program);
}

function misdeedIn(world: World, program: Program): string | null {
  try {
    world.run(program);
    return null;
  } catch (error) {
    if (error instanceof Misdeed) return error.message;
    throw error;
  }
}

/** Leaves out deeds as long as the rest goes wrong in the same way. */
export function shrunkCrasher({ program, isHonest, message }: Crasher, module: WebAssembly.Module): Crasher {
  const kind = (text: string | null) => text?.replace(/\d+/g, "#");
  let best = program;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = best.length - size; at > -size; at -= size) {
      const from = Math.max(0, at);
      const smaller = [...best.slice(0, from), ...best.slice(at + size)];
      if (kind(misdeedOf(smaller, { module, isHonest })) === kind(message)) best = smaller;
    }
  }
  return { program: best, isHonest, message: misdeedOf(best, { module, isHonest }) ?? message };
}
