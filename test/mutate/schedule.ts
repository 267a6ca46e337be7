// Which tests a mutant is given, and in which order: only those that run its statement, and first those that have told most of
// mutants near it in the least time. The order decides how long a verdict takes, never what it is.

import { fileOf, isTest } from "./ids.ts";
import type { Marks } from "./marks.ts";
import type { Mutant } from "./mutants.ts";
import type { Report } from "./runner.ts";

/** A test that takes so many times as long as with the right core, and so many ms more, hangs. */
const PATIENCE = 3;
const PATIENCE_MS = 1500;
/** What each test costs besides what it takes, so that those of a moment are not all tried first. */
const COST_MS = 5;
/** What is known of a wider place counts as so many mutants of the narrower one. */
const WIDER_WEIGHT = 3;
const KILLED_SHARE_UNKNOWN = 0.01;

interface Tally {
  tried: number;
  told: number;
}

export class Schedule {
  /** Of the processors, by the id of a test, or the file that is loaded. */
  readonly limitsMs: Record<string, number> = {};
  private readonly tookMs = new Map<string, number>();
  private readonly marksOf = new Map<string, Set<number>>();
  private readonly runsAll = new Set<string>();
  private readonly tallies = new Map<string, Tally>();
  private readonly tests: string[];

  /** Of each test with the right core, without marks and with them. */
  constructor(
    right: Report[],
    marked: Report[],
    private readonly marks: Marks,
  ) {
    for (const { id, tookMs } of right) {
      this.limitsMs[id] = PATIENCE * tookMs + PATIENCE_MS;
      this.tookMs.set(id, tookMs);
    }
    for (const { id, isPassed, seen } of marked) {
      if (!isPassed) this.runsAll.add(id);
      this.marksOf.set(id, new Set(seen));
    }
    // What all files share is loaded with the first.
    const shared = this.marksOf.get((right[0] as Report).id) ?? new Set();
    this.tests = right.map(({ id }) => id).filter(isTest);
    for (const id of this.tests) {
      const own = this.marksOf.get(id);
      if (own === undefined) this.runsAll.add(id);
      for (const mark of [...(this.marksOf.get(fileOf(id)) ?? []), ...shared]) own?.add(mark);
    }
  }

  testsFor(mutant: Mutant): string[] {
    const mark = this.marks.markAt(mutant.file, mutant.start);
    const runs = (id: string) => mark === undefined || this.runsAll.has(id) || this.marksOf.get(id)?.has(mark);
    const tests = this.tests.filter(runs).map((id) => ({ id, worth: this.worth(id, mutant) }));
    return tests.sort((a, b) => b.worth - a.worth).map(({ id }) => id);
  }

  /** That tests have passed with a mutant, and that one has told (or its file, when that was loaded). */
  learn(mutant: Mutant, passed: string[], by: string | undefined): void {
    for (const place of placesOf(mutant)) {
      for (const id of passed) this.tally(place, id).tried++;
      if (by !== undefined) {
        const tally = this.tally(place, by);
        tally.tried++;
        tally.told++;
      }
    }
  }

  /** Mutants that the test will tell of, for each ms that it takes. */
  private worth(id: string, mutant: Mutant): number {
    let share = KILLED_SHARE_UNKNOWN;
    for (const place of placesOf(mutant)) {
      const { tried, told } = this.tally(place, id);
      share = (told + WIDER_WEIGHT * share) / (tried + WIDER_WEIGHT);
    }
    return share / ((this.tookMs.get(id) ?? 0) + COST_MS);
  }

  private tally(place: string, id: string): Tally {
    const key = `${place} ${id}`;
    let tally = this.tallies.get(key);
    if (tally === undefined) {
      tally = { tried: 0, told: 0 };
      this.tallies.set(key, tally);
    }
    return tally;
  }
}

/** The widest first. */
function placesOf({ id, file }: Mutant): string[] {
  return ["core", file, id.slice(0, id.indexOf(": "))];
}
