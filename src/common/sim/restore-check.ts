// What a server knew when it died, its successor knows: of each region whether it is in sync and whether it is marked, and
// of each log where in its life it is. Where the server died in the midst of an input's effects, each of these is as before
// the input or as after it; nobody was told more.

import type { Console } from "../console.ts";
import type { Engine } from "../engine.ts";
import { type LogSets, LogView } from "./log-view.ts";
import { Violation } from "./violation.ts";

/** What a server knew of a log before its last input and after it. */
interface Known {
  readonly before: LogSets;
  readonly after: LogSets;
}

export class RestoreCheck {
  /** Logs compared. */
  checkCount = 0;
  /** Before the input in whose midst the server may die. */
  private before: ReadonlyMap<string, LogSets> | null = null;
  /** What the dead knew of logs that no server has taken up since. */
  private readonly known = new Map<string, Known>();
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
    this.known.clear();
    this.constructed.clear();
  }

  mayDieIn(engine: Engine): void {
    this.before = this.view.sets(engine, false);
  }

  survived(): void {
    this.before = null;
  }

  /** What it had not taken up wholly, its predecessor knew. */
  died(engine: Engine): void {
    for (const [name, after] of this.view.sets(engine, true)) {
      const before = this.before === null ? after : this.before.get(name);
      if (before !== undefined) this.known.set(name, { before, after });
    }
    this.before = null;
  }

  /** A server has taken up what was left of one log, and nobody has asked it anything of this log since. */
  restored(engine: Engine, luid: bigint, uuid: string): void {
    const name = `${luid} ${uuid}`;
    const known = this.known.get(name);
    this.known.delete(name);
    if (known === undefined || !this.constructed.has(luid)) return;
    const now = this.view.sets(engine, true).get(name);
    if (now === undefined) throw new Violation(`the new server does not know the log ${uuid}`);
    this.compare(known.before, known.after, now);
  }

  /** A server has taken up all that was left: there is no log that it does not know. */
  allRestored(): void {
    for (const { after } of this.known.values()) {
      if (this.constructed.has(after.luid)) throw new Violation(`the new server does not know the log ${after.uuid}`);
    }
    this.known.clear();
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
