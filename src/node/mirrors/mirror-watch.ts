// What to do about a mirror, from what is seen of it one time after the other. It touches nothing: whoever asks does it.
//
// Invariants: nothing is overwritten that the mirror's file does not name as a leg or a spare; no leg is copied from that the file calls
// behind, or that failed; what did not help is tried again after twice the time, up to ten minutes.

import type { MirrorFile } from "./mirror-file.ts";
import type { LegHealth } from "./mirror-status.ts";

export type MirrorEvent =
  | "test"
  | "mirror-missing"
  | "leg-failed"
  | "leg-returned"
  | "spare-taken"
  | "in-sync"
  | "log-failed"
  | "log-reopened"
  | "log-in-memory"
  | "resync-stuck";

export interface SeenLeg {
  /** As the file has it; as numbers where the file has no such leg. */
  leg: string;
  health: LegHealth;
}

/** A mirror at one moment. */
export interface Sight {
  atMs: number;
  legs: SeenLeg[];
  inSyncRegions: number;
  regionCount: number;
  /** Undefined for a log in memory. */
  logHealth: string | undefined;
  /** Legs of the file that are there, and are not in the table: it has their stand-ins, or the numbers that they had before. */
  displaced: string[];
}

/** One thing to do. */
export type Step =
  | { step: "tell"; event: MirrorEvent; device: string; sentence: string; isProblem: boolean }
  /** Write into the file which legs are behind. */
  | { step: "behind"; legs: string[] }
  /** Put the first spare that is fit in the place of a leg. */
  | { step: "take spare"; leg: string }
  /**
   * Copy to a leg what it missed, if it can be read again. `isReload` where the table must name it anew, and where writes wait: the
   * kernel's set of legs holds each write to a region out of sync for as long as it lives, and such a region is not copied either.
   */
  | { step: "take back"; leg: string; isReload: boolean }
  /** Suspend and resume. `isReload` where the live table would hold writes for ever, whatever became of the log. */
  | { step: "begin anew"; isReload: boolean }
  | { step: "log in memory" };

const RETRY_MS_MAX = 600_000;
const STUCK_MS = 60_000;

/** When something is tried again. */
class Patience {
  #atMs = 0;
  #waitMs: number;

  constructor(
    private readonly firstMs: number,
    nowMs: number,
  ) {
    this.#waitMs = firstMs;
    this.#atMs = nowMs + firstMs;
  }

  /** Whether it is time; then the next time is after twice as long. */
  isOver(nowMs: number): boolean {
    if (nowMs < this.#atMs) return false;
    this.#waitMs = Math.min(2 * this.#waitMs, Math.max(RETRY_MS_MAX, this.firstMs));
    this.#atMs = nowMs + this.#waitMs;
    return true;
  }
}

export class MirrorWatch {
  #before: Sight | undefined;
  /** Legs that failed, since when they were told. */
  readonly #failed = new Map<string, Patience>();
  #log: { patience: Patience; tries: number } | undefined;
  #stuck: { sinceMs: number; patience: Patience } | undefined;

  constructor(
    private readonly name: string,
    /** How long to wait before the first try, in ms. */
    private readonly retryMs: number,
  ) {}

  see(sight: Sight, mirror: MirrorFile): Step[] {
    const steps = [
      ...this.seeLegs(sight, mirror),
      ...this.seeSync(sight, mirror),
      ...this.seeLog(sight, mirror),
      ...this.seeStandstill(sight),
    ];
    this.#before = sight;
    return steps;
  }

  private seeLegs({ atMs, legs, displaced }: Sight, mirror: MirrorFile): Step[] {
    const steps: Step[] = [];
    const isBad = ({ health }: SeenLeg) => health !== "A";
    const bad = legs.filter(isBad);
    for (const leg of [...this.#failed.keys()]) {
      if (!bad.some((one) => one.leg === leg) && !displaced.includes(leg)) this.#failed.delete(leg);
    }
    const fresh = bad.filter(({ leg }) => !this.#failed.has(leg));
    for (const { leg, health } of fresh) {
      this.#failed.set(leg, new Patience(this.retryMs, atMs));
      steps.push(
        this.problem("leg-failed", leg, `The leg ${leg} of ${this.name} has failed: ${HEALTH_WORDS[health]}.`),
      );
    }
    steps.push(...this.recordBehind(fresh, legs, mirror));
    // A leg that is behind anyway loses nothing when it is replaced; one that is not, only where another one has all it has.
    const hasGood = legs.some((one) => !isBad(one) && !mirror.behind.includes(one.leg));
    for (const { leg } of fresh) {
      if (mirror.spares.length > 0 && hasGood && mirror.legs.includes(leg)) steps.push({ step: "take spare", leg });
    }
    for (const leg of new Set([...bad.map((one) => one.leg), ...displaced])) {
      const patience = this.#failed.get(leg) ?? new Patience(0, atMs);
      this.#failed.set(leg, patience);
      // Behind is what was a leg. Another one in the file somebody wrote there, and the log has never seen it.
      if (displaced.includes(leg) && !mirror.behind.includes(leg)) continue;
      if (!mirror.takeBack || !hasGood || !mirror.legs.includes(leg) || !patience.isOver(atMs)) continue;
      steps.push({ step: "take back", leg, isReload: displaced.includes(leg) || mirror.legFailure === "wait" });
    }
    return steps;
  }

  /** Before the machine can stop, its file must know which legs have missed writes. */
  private recordBehind(fresh: readonly SeenLeg[], legs: readonly SeenLeg[], mirror: MirrorFile): Step[] {
    const missed = fresh
      .map(({ leg }) => leg)
      .filter((leg) => mirror.legs.includes(leg) && !mirror.behind.includes(leg));
    if (missed.length === 0) return [];
    const behind = [...mirror.behind, ...missed];
    const isGood = ({ leg, health }: SeenLeg) => health === "A" && !behind.includes(leg);
    if (legs.some(isGood)) return [{ step: "behind", legs: behind }];
    return [
      this.problem(
        "leg-failed",
        missed.join(" "),
        `No leg of ${this.name} is left that has all that was written: it has failed, and the others are behind. Bring ${missed.join(" and ")} ` +
          "back before anything else. Nothing is done by itself.",
      ),
    ];
  }

  private seeSync(sight: Sight, mirror: MirrorFile): Step[] {
    const isInSync = (one: Sight) =>
      one.inSyncRegions === one.regionCount && one.legs.every(({ health }) => health === "A");
    if (!isInSync(sight) || sight.displaced.length > 0) return [];
    const steps: Step[] = mirror.behind.length > 0 ? [{ step: "behind", legs: [] }] : [];
    if (mirror.behind.length > 0 || (this.#before !== undefined && !isInSync(this.#before))) {
      steps.push(this.news("in-sync", "", `${this.name} is in sync: all ${sight.regionCount} regions on all legs.`));
    }
    return steps;
  }

  private seeLog({ atMs, logHealth }: Sight, mirror: MirrorFile): Step[] {
    const device = mirror.logDevice ?? "";
    if (logHealth === undefined || logHealth === "A") {
      const wasBad = this.#log !== undefined;
      this.#log = undefined;
      return wasBad && logHealth === "A"
        ? [this.news("log-reopened", device, `The log of ${this.name} works again.`)]
        : [];
    }
    const steps: Step[] = [];
    if (this.#log === undefined) {
      this.#log = { patience: new Patience(this.retryMs, atMs), tries: 0 };
      steps.push(
        this.problem(
          "log-failed",
          device,
          `The log device ${device} of ${this.name} has failed: its writes wait or fail.`,
        ),
      );
    }
    if (mirror.logFailure === "tell" || !this.#log.patience.isOver(atMs)) return steps;
    const isHopeless = mirror.logFailure === "memory" && this.#log.tries > 0;
    this.#log.tries++;
    return [...steps, isHopeless ? { step: "log in memory" } : { step: "begin anew", isReload: true }];
  }

  /** The kernel asks for no resync work any more once it has heard that all is in sync, until the mirror begins anew. */
  private seeStandstill({ atMs, legs, inSyncRegions, regionCount, logHealth, displaced }: Sight): Step[] {
    const isWell = legs.every(({ health }) => health === "A") && (logHealth ?? "A") === "A" && displaced.length === 0;
    if (inSyncRegions === regionCount || !isWell || inSyncRegions !== this.#before?.inSyncRegions) {
      this.#stuck = undefined;
      return [];
    }
    this.#stuck ??= { sinceMs: atMs, patience: new Patience(STUCK_MS, atMs) };
    if (!this.#stuck.patience.isOver(atMs)) return [];
    const seconds = Math.round((atMs - this.#stuck.sinceMs) / 1000);
    const left = regionCount - inSyncRegions;
    return [
      this.problem(
        "resync-stuck",
        "",
        `${this.name} has ${left} regions out of sync, and none was copied for ${seconds} s. It begins anew.`,
      ),
      { step: "begin anew", isReload: false },
    ];
  }

  private problem(event: MirrorEvent, device: string, sentence: string): Step {
    return { step: "tell", event, device, sentence, isProblem: true };
  }

  private news(event: MirrorEvent, device: string, sentence: string): Step {
    return { step: "tell", event, device, sentence, isProblem: false };
  }
}

const HEALTH_WORDS: Record<LegHealth, string> = {
  A: "it is alive",
  D: "a write to it failed",
  S: "it could not be copied to",
  R: "it could not be read",
  F: "a flush of it failed",
  U: "the kernel does not say why",
};
