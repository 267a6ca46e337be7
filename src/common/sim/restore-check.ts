// What a server knew when it died, its successor knows: of each region whether it is in sync and whether it is marked, and
// of each log where in its life it is. Where the server died in the midst of an input's effects, each of these is as before
// the input or as after it; nobody was told more.

import type { Console } from "../console.ts";
import type { Engine } from "../engine.ts";
import { type LogSets, LogView } from "./log-view.ts";
import { Violation } from "./violation.ts";

type Logs = ReadonlyMap<string, LogSets>;

export class RestoreCheck {
  /** Logs compared. */
  checkCount = 0;
  private before: Logs | null = null;
  private after: Logs | null = null;
  private readonly view: LogView;
  /** Logs whose constructor was answered, by luid. */
  private readonly constructed = new Set<bigint>();

  constructor(console: Console) {
    this.view = new LogView(console);
  }

  constructorAnswered(luid: bigint): void {
    this.constructed.add(luid);
  }

  /** A request that may end a log, or begin another in its place, has come. */
  mayBeGone(luid: bigint): void {
    this.constructed.delete(luid);
  }

  /** What it knew was lost, and nothing is asked of its successor. */
  forget(): void {
    this.before = null;
    this.after = null;
    this.constructed.clear();
  }

  mayDieIn(engine: Engine): void {
    this.before = this.view.sets(engine, false);
  }

  survived(): void {
    this.before = null;
  }

  died(engine: Engine): void {
    this.after = this.view.sets(engine, true);
    this.before ??= this.after;
  }

  restored(engine: Engine): void {
    const { before, after } = this;
    if (before === null || after === null) return;
    const restored = this.view.sets(engine, true);
    for (const [name, one] of before) {
      const other = after.get(name);
      const now = restored.get(name);
      if (other === undefined || !this.constructed.has(one.luid)) continue;
      if (now === undefined) throw new Violation(`the new server does not know the log ${one.uuid}`);
      this.compare(one, other, now);
    }
    this.before = null;
    this.after = null;
  }

  private compare(before: LogSets, after: LogSets, now: LogSets): void {
    this.checkCount++;
    const { uuid } = now;
    if (before.state !== null && now.state !== after.state) {
      throw new Violation(
        `the log ${uuid} was ${after.state} when the server died, and is ${now.state} in the next one`,
      );
    }
    for (const [set, what] of [
      ["outOfSync", "out of sync"],
      ["marked", "marked"],
    ] as const) {
      for (let at = 0; at < now[set].length; at++) {
        const one = before[set][at] as number;
        const other = after[set][at] as number;
        const wrong = (now[set][at] as number) & ~(one | other);
        const lost = one & other & ~(now[set][at] as number);
        if ((wrong | lost) === 0) continue;
        const region = at * 8 + 31 - Math.clz32((wrong | lost) & -(wrong | lost));
        const words =
          wrong !== 0 ? `was not ${what} when the server died, and is` : `was ${what} when the server died, and is not`;
        throw new Violation(`region ${region} of ${uuid} ${words} in the next one`);
      }
    }
  }
}
