// Random requests drive the core's region sets and resync cursor beside a naive model made of plain arrays. Answers are
// compared after every request, all states and counts every so often. The weights of the requests are random too, so
// that some runs never clear, or never report a region.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { u64At } from "../src/common/kernel-frames.ts";
import { Peer, seeded, seedFor } from "./harness.ts";

const RETRY_ROUNDS_MAX = 8;
const IN_SYNC = 0;
const PENDING = 1;
const FAILED = 2;

/** What assembly/log.ts and resync.ts promise, with a scan where they have summary levels. */
class Model {
  readonly sync: Uint8Array;
  readonly marked: Uint8Array;
  recovering = -1;
  cursor = 0;
  rounds = 0;

  constructor(
    readonly regions: number,
    nosync: boolean,
  ) {
    this.sync = new Uint8Array(regions).fill(nosync ? IN_SYNC : PENDING);
    this.marked = new Uint8Array(regions);
  }

  count(value: number): number {
    return this.sync.reduce((sum, state) => sum + (state === value ? 1 : 0), 0);
  }

  work(): number {
    if (this.recovering >= 0) return this.recovering;
    if (!this.sync.includes(PENDING)) {
      if (!this.sync.includes(FAILED) || this.rounds >= RETRY_ROUNDS_MAX) return -1;
      this.rounds++;
      this.cursor = 0;
      this.sync.forEach((state, region) => {
        if (state === FAILED) this.sync[region] = PENDING;
      });
    }
    const ahead = this.sync.indexOf(PENDING, this.cursor);
    this.recovering = ahead >= 0 ? ahead : this.sync.indexOf(PENDING);
    this.cursor = this.recovering;
    return this.recovering;
  }

  report(region: number, inSync: boolean): void {
    const wasRecovering = this.recovering === region;
    if (wasRecovering) this.recovering = -1;
    if (inSync) this.sync[region] = IN_SYNC;
    else if (wasRecovering) this.sync[region] = FAILED;
    else if (this.sync[region] === IN_SYNC) this.sync[region] = PENDING;
  }

  /** What failed before comes after the rest. */
  resume(): void {
    const hasPending = this.sync.includes(PENDING);
    this.sync.forEach((state, region) => {
      if (state === FAILED && !hasPending) this.sync[region] = PENDING;
    });
    this.recovering = -1;
    this.cursor = 0;
    this.rounds = 0;
  }

  hint(): number {
    return this.sync.every((state) => state === IN_SYNC) ? this.regions : this.regions - 1;
  }

  states(): number[] {
    return Array.from(this.sync, (state, region) =>
      state === PENDING ? 2 : state === FAILED ? 3 : (this.marked[region] as number),
    );
  }
}

/** 137: the last word is never full. The others stand around the sizes at which a summary level is added. */
const SIZES = [1, 2, 63, 64, 65, 137, 4095, 4096, 4097, 20_000, 262_143, 262_145];
const REQUESTS_BELOW = 3000;

const seed = seedFor("regions.fuzz");

for (const [index, regions] of SIZES.entries()) {
  test(`${regions} regions against a naive model`, () => {
    const random = seeded(seed * 1000 + index);
    const nosync = random.below(2) === 0;
    const peer = Peer.resumed(regions, nosync ? " nosync" : "");
    const model = new Model(regions, nosync);
    const weights = Array.from({ length: 8 }, () => random.below(10));
    const total = weights.reduce((sum, weight) => sum + weight, 1);
    const near = random.below(regions);
    const region = () =>
      random.below(2) === 0 ? random.below(regions) : Math.min(regions - 1, near + random.below(70));
    const some = () => Array.from({ length: 1 + random.below(32) }, region);
    const requests = regions > 100_000 ? REQUESTS_BELOW / 10 : REQUESTS_BELOW;

    const compare = () => {
      assert.equal(peer.states(), model.states());
      const log = peer.describe();
      assert.is(log.outOfSyncRegions, model.count(PENDING) + model.count(FAILED));
      assert.is(log.failedRegions, model.count(FAILED));
      assert.is(log.dirtyRegions, model.states().filter((state) => state === 1).length);
    };

    for (let i = 0; i < requests; i++) {
      let pick = random.below(total);
      const kind = weights.findIndex((weight) => {
        pick -= weight;
        return pick < 0;
      });
      if (kind === 0 || kind === 1) {
        const regionList = some();
        assert.is(peer.ask(kind === 0 ? "MARK_REGION" : "FLUSH", regionList).error, 0);
        for (const one of regionList) model.marked[one] = 1;
      } else if (kind === 2) {
        const regionList = some();
        assert.is(peer.ask("CLEAR_REGION", regionList).error, 0);
        for (const one of regionList) model.marked[one] = 0;
      } else if (kind === 3) {
        const { data } = peer.ask("GET_RESYNC_WORK");
        const expected = model.work();
        assert.equal([u64At(data, 0), u64At(data, 1)], expected < 0 ? [0, 0] : [1, expected]);
      } else if (kind === 4) {
        const one = model.recovering >= 0 && random.below(4) > 0 ? model.recovering : region();
        const inSync = random.below(3) > 0;
        assert.is(peer.ask("SET_REGION_SYNC", [one, inSync ? 1 : 0]).error, 0);
        model.report(one, inSync);
      } else if (kind === 5) {
        const one = region();
        assert.is(u64At(peer.ask("IN_SYNC", [one]).data, 0), model.sync[one] === IN_SYNC ? 1 : 0);
        const clean = model.sync[one] === IN_SYNC && model.marked[one] === 0;
        assert.is(u64At(peer.ask("IS_CLEAN", [one]).data, 0), clean ? 1 : 0);
      } else if (kind === 6) {
        assert.is(u64At(peer.ask("GET_SYNC_COUNT").data, 0), model.count(IN_SYNC));
        assert.is(u64At(peer.ask("IS_REMOTE_RECOVERING", [region()]).data, 1), model.hint());
      } else if (kind === 7 && random.below(20) === 0) {
        peer.ask("POSTSUSPEND");
        peer.ask("RESUME");
        model.resume();
      }
      if (i % (requests / 20) === 0) compare();
    }
    compare();
    assert.is(peer.engine.violatedInvariant(), 0);
  });
}

test.run();
