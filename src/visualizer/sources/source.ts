// Where events come from. A source fills its store; everything else is made from that.

import type { EventStore } from "../model/event-store.ts";

export interface Source {
  readonly store: EventStore;
  /** Where the events come from, in a few words. */
  readonly title: string;
  /** What a link needs to find this source again; undefined where no link can. */
  readonly address: string | undefined;
  /**
   * For a source that makes its events: makes more until there are `eventCount` or about `budgetMs` are over. Returns
   * whether more can come. Left out where events come by themselves, or are all there.
   */
  extend?(eventCount: number, budgetMs: number): boolean;
  /** Lets go of what it holds; nothing is asked of it afterwards. */
  close?(): void;
}
