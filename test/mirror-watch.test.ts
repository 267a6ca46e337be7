// What the monitor does about what it sees: played sights of a mirror, one after the other.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { type MirrorFile, parseMirrorFile } from "../src/node/mirrors/mirror-file.ts";
import { parseMirrorStatus } from "../src/node/mirrors/mirror-status.ts";
import { MirrorWatch, type Sight, type Step } from "../src/node/mirrors/mirror-watch.ts";

const RETRY_MS = 1000;
const [A, B, C] = ["/dev/a", "/dev/b", "/dev/c"];

function file(more: Partial<MirrorFile> = {}): MirrorFile {
  return { ...parseMirrorFile("m.toml", `uuid = "u"\nlegs = ["${A}", "${B}"]\nsize = "1G"\n`), ...more };
}

/** `AD 7/8` at some time: the health of the legs and what is in sync. */
function sight(atMs: number, text: string, more: Partial<Sight> = {}): Sight {
  const [health = "", regions = ""] = text.split(" ");
  const [inSyncRegions, regionCount] = regions.split("/").map(Number) as [number, number];
  const legs = [A, B, C].slice(0, health.length).map((leg, i) => ({ leg: leg as string, health: health[i] as "A" }));
  return { atMs, legs, inSyncRegions, regionCount, logHealth: undefined, displaced: [], ...more };
}

/** Steps in few words. */
function words(steps: Step[]): string[] {
  return steps.map((step) => {
    if (step.step === "tell") return `${step.event} ${step.device}`.trim();
    if (step.step === "behind") return `behind ${step.legs.join(" ")}`.trim();
    if (step.step === "take back") return `take back ${step.leg}${step.isReload ? " by reload" : ""}`;
    if (step.step === "begin anew") return `begin anew${step.isReload ? " by reload" : ""}`;
    return step.step === "take spare" ? `take spare for ${step.leg}` : step.step;
  });
}

test("a leg that fails is told once, recorded, and taken back after longer and longer times", () => {
  const watch = new MirrorWatch("m", RETRY_MS);
  assert.equal(words(watch.see(sight(0, "AA 8/8"), file())), []);
  assert.equal(words(watch.see(sight(10, "AD 7/8"), file())), [`leg-failed ${B}`, `behind ${B}`]);
  const behind = file({ behind: [B as string] });
  assert.equal(words(watch.see(sight(1009, "AD 6/8"), behind)), []);
  assert.equal(words(watch.see(sight(1010, "AD 6/8"), behind)), [`take back ${B}`]);
  assert.equal(words(watch.see(sight(3009, "AD 6/8"), behind)), []);
  assert.equal(words(watch.see(sight(3010, "AS 6/8"), behind)), [`take back ${B}`]);
  assert.equal(words(watch.see(sight(7010, "AS 6/8"), behind)), [`take back ${B}`]);
  // Ten minutes at most.
  let atMs = 7010;
  let waitedMs = 0;
  for (let tries = 0; tries < 12; tries++) {
    const fromMs = atMs;
    do atMs += 1000;
    while (watch.see(sight(atMs, "AS 6/8"), behind).length === 0);
    waitedMs = atMs - fromMs;
  }
  assert.is(waitedMs, 600_000);
  assert.equal(words(watch.see(sight(atMs + 1, "AA 8/8"), behind)), ["behind", "in-sync"]);
  // Another failure is another one.
  assert.equal(words(watch.see(sight(atMs + 2, "AD 7/8"), file())), [`leg-failed ${B}`, `behind ${B}`]);
});

test("the first leg fails: it is behind then, and the second one is not", () => {
  const watch = new MirrorWatch("m", RETRY_MS);
  assert.equal(words(watch.see(sight(0, "DA 7/8"), file())), [`leg-failed ${A}`, `behind ${A}`]);
});

test("a leg fails while the other one is behind: nothing is recorded, copied or taken", () => {
  const watch = new MirrorWatch("m", RETRY_MS);
  const mirror = file({ behind: [B as string], spares: [C as string] });
  const steps = watch.see(sight(0, "DA 3/8"), mirror);
  assert.equal(words(steps), [`leg-failed ${A}`, `leg-failed ${A}`]);
  assert.match(steps[1]?.step === "tell" ? steps[1].sentence : "", /No leg of m is left that has all that was written/);
  for (let atMs = 1000; atMs < 100_000; atMs += 1000) assert.equal(words(watch.see(sight(atMs, "DA 3/8"), mirror)), []);
});

test("both fail at once: neither is behind the other for the monitor to say", () => {
  const watch = new MirrorWatch("m", RETRY_MS);
  assert.equal(words(watch.see(sight(0, "DD 3/8"), file({ spares: [C as string] }))), [
    `leg-failed ${A}`,
    `leg-failed ${B}`,
    `leg-failed ${A} ${B}`,
  ]);
});

test("a spare is taken at once, for a leg that is behind too, and not where the file has none", () => {
  const spares = [C as string];
  assert.equal(words(new MirrorWatch("m", RETRY_MS).see(sight(0, "DA 7/8"), file({ spares }))), [
    `leg-failed ${A}`,
    `behind ${A}`,
    `take spare for ${A}`,
  ]);
  const behind = file({ spares, behind: [B as string] });
  assert.equal(words(new MirrorWatch("m", RETRY_MS).see(sight(0, "AS 7/8"), behind)), [
    `leg-failed ${B}`,
    `take spare for ${B}`,
  ]);
});

test("where writes wait for a leg, it is taken back by a reload: the live table would hold them", () => {
  const watch = new MirrorWatch("m", RETRY_MS);
  const mirror = file({ behind: [B as string], legFailure: "wait" });
  assert.equal(words(watch.see(sight(0, "AD 7/8"), mirror)), [`leg-failed ${B}`]);
  assert.equal(words(watch.see(sight(1000, "AD 7/8"), mirror)), [`take back ${B} by reload`]);
});

test("a leg that the table has no more, or has a stand-in for, is taken back by a reload; never where take-back is off", () => {
  const watch = new MirrorWatch("m", RETRY_MS);
  const mirror = file({ behind: [A as string] });
  assert.equal(words(watch.see(sight(0, "DA 7/8", { displaced: [A as string] }), mirror)), [`leg-failed ${A}`]);
  assert.equal(words(watch.see(sight(1000, "DA 7/8", { displaced: [A as string] }), mirror)), [
    `take back ${A} by reload`,
  ]);
  // A stand-in that nobody has written to yet.
  const quiet = new MirrorWatch("m", RETRY_MS);
  assert.equal(words(quiet.see(sight(0, "AA 8/8", { displaced: [A as string] }), mirror)), [
    `take back ${A} by reload`,
  ]);
  // What was no leg so far: somebody has changed the file.
  const strange = new MirrorWatch("m", RETRY_MS);
  assert.equal(words(strange.see(sight(0, "AA 8/8", { displaced: [A as string] }), file())), []);
  const off = new MirrorWatch("m", RETRY_MS);
  const never = { ...mirror, takeBack: false };
  for (let atMs = 0; atMs < 10_000; atMs += 1000) {
    assert.not.match(words(off.see(sight(atMs, "DA 7/8", { displaced: [A as string] }), never)).join(), /take back/);
  }
});

test("a log that fails is opened again, and in memory only where the file says so", () => {
  const see = (logFailure: MirrorFile["logFailure"], times: number[]) => {
    const watch = new MirrorWatch("m", RETRY_MS);
    const mirror = file({ logDevice: "/dev/l", logFailure });
    watch.see(sight(0, "AA 8/8", { logHealth: "A" }), mirror);
    return times.map((atMs) => words(watch.see(sight(atMs, "AA 8/8", { logHealth: "D" }), mirror)).join(", "));
  };
  const times = [1, 1001, 1002, 3001, 7001];
  assert.equal(see("tell", times), ["log-failed /dev/l", "", "", "", ""]);
  assert.equal(see("reopen", times), [
    "log-failed /dev/l",
    "begin anew by reload",
    "",
    "begin anew by reload",
    "begin anew by reload",
  ]);
  assert.equal(see("memory", times), [
    "log-failed /dev/l",
    "begin anew by reload",
    "",
    "log in memory",
    "log in memory",
  ]);
  const watch = new MirrorWatch("m", RETRY_MS);
  const mirror = file({ logDevice: "/dev/l" });
  watch.see(sight(0, "AA 8/8", { logHealth: "F" }), mirror);
  assert.equal(words(watch.see(sight(1, "AA 8/8", { logHealth: "A" }), mirror)), ["log-reopened /dev/l"]);
  assert.equal(words(watch.see(sight(2, "AA 8/8", { logHealth: "A" }), mirror)), []);
});

test("a resync that stands still begins anew; one that goes on, or cannot, is left alone", () => {
  const watch = new MirrorWatch("m", RETRY_MS);
  let atMs = 0;
  for (let inSync = 0; inSync < 100; inSync++) {
    atMs += 5000;
    assert.equal(words(watch.see(sight(atMs, `AA ${inSync}/200`), file())), []);
  }
  assert.equal(words(watch.see(sight(atMs + 1, "AA 99/200"), file())), []);
  assert.equal(words(watch.see(sight(atMs + 60_000, "AA 99/200"), file())), []);
  assert.equal(words(watch.see(sight(atMs + 60_001, "AA 99/200"), file())), ["resync-stuck", "begin anew"]);
  assert.equal(words(watch.see(sight(atMs + 120_001, "AA 99/200"), file())), []);
  assert.equal(words(watch.see(sight(atMs + 180_001, "AA 99/200"), file())), ["resync-stuck", "begin anew"]);
  assert.equal(words(watch.see(sight(atMs + 180_002, "AA 200/200"), file())), ["in-sync"]);
  const failed = new MirrorWatch("m", RETRY_MS);
  const mirror = file({ behind: [B as string], takeBack: false });
  failed.see(sight(0, "AD 3/8"), mirror);
  for (atMs = 0; atMs < 1_000_000; atMs += 10_000) assert.equal(words(failed.see(sight(atMs, "AD 3/8"), mirror)), []);
});

test("the kernel's words for a mirror", () => {
  assert.equal(parseMirrorStatus("2 98:0 98:16 127/128 1 AD 1 clustered-core"), {
    legs: [
      { numbers: "98:0", health: "A" },
      { numbers: "98:16", health: "D" },
    ],
    inSyncRegions: 127,
    regionCount: 128,
    logHealth: undefined,
  });
  assert.is(parseMirrorStatus("3 98:0 98:16 98:32 1/1 1 AAA 3 clustered-disk 98:48 F")?.logHealth, "F");
  for (const text of ["", "2 98:0", "2 98:0 98:16 1/1 1 A", "0 8192 linear"])
    assert.is(parseMirrorStatus(text), undefined);
});

test.run();
