/** What dm-ulog status tells of mirrors: by their names, with legs, log, resync and what waits; whatever the server does. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import { RECONNECTED, SERVER_AWAY } from "../guest/kernel-log.ts";
import { type Lab, MIRRORS_DIRECTORY } from "../guest/lab.ts";
import { LogFailure } from "../guest/log-failure.ts";
import { raiseLoopback } from "../guest/loopback.ts";
import { MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import { COMMANDS, type Scenario } from "../guest/scenario.ts";

/** As long as a name may be, of any mirror and of one that is declared. */
const FAILING = "failing-".padEnd(127, "f");
const SLOW = "slow-".padEnd(118, "s");
/** A region's: its resync lasts longer than all looks at it. */
const SLOW_WRITE_MS = 400;
/** A command takes the guest two of these seconds. */
const ANSWER_MS_MAX = 5000;

interface MirrorFacts {
  name: string;
  state: string;
  isDeclared: boolean;
  sizeBytes: number;
  legs: { name: string; health: string | null; isPresent: boolean }[];
  log: { device: string | null; deviceState: string | null };
  sync: { outOfSyncRegions: number; bytesPerSecond: number | null; secondsLeft: number | null } | null;
  problems: { kind: string; isWaiting: boolean; what: string }[];
}

async function look(lab: Lab): Promise<{ exitCode: number | null; mirrors: Map<string, MirrorFacts>; error: string }> {
  const { exitCode, stdout } = await lab.tryMirrors("status", "--json");
  const report = JSON.parse(stdout) as { mirrors: MirrorFacts[]; serverError: string | null };
  return { exitCode, mirrors: new Map(report.mirrors.map((one) => [one.name, one])), error: report.serverError ?? "" };
}

const kindsOf = (mirror: MirrorFacts | undefined) => mirror?.problems.map(({ kind }) => kind);

/** What Prometheus would get. */
async function scrape(lab: Lab): Promise<string> {
  raiseLoopback(lab.mainPath);
  const words = ["metrics", "--port", "0", "--mirrors-dir", MIRRORS_DIRECTORY];
  const child = spawn(process.execPath, [lab.mainPath, ...words], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    const url = /http:\S+/.exec(line)?.[0] ?? "";
    return await (await fetch(url)).text();
  } finally {
    child.kill();
    await once(child, "exit");
  }
}

/** Of two legs behind what is on the same disks already; the second is one of device-mapper's, which can fail. */
async function optionsBehind(lab: Lab, name: string, leg: string, place: number): Promise<MirrorOptions> {
  const { sizeSectors } = MIRROR;
  const offset = place * sizeSectors;
  const first = await lab.dm.create(`${leg}-0`, legTable.plain(DISKS[2], sizeSectors, offset));
  const second = await lab.dm.create(leg, legTable.plain(DISKS[3], sizeSectors, offset));
  return { ...MIRROR, name, legs: [first, second] };
}

const statusByName: Scenario = {
  name: "status-by-name",
  sentence:
    "`dm-ulog status` knows mirrors by name: a leg that failed, a resync and its end, a log device that failed, a dead server.",
  hostsOnly: "the command looks at a host",
  nativeOnly: COMMANDS,
  timeLimitMs: 240_000,
  possibleKernelLog: [RECONNECTED, SERVER_AWAY, /raid1: log postsuspend failed/],
  async run(lab) {
    await lab.server.start();
    const failing = await lab.makePrintedMirror(await optionsBehind(lab, FAILING, "leg", 4));
    await failing.waitInSync();
    const slow = await lab.declareMirror(await optionsBehind(lab, SLOW, "slow-leg", 6));
    await slow.waitInSync();
    const logFails = await LogFailure.makeMirror(lab);
    const good = await look(lab);
    assert.equal(good.exitCode, 0);
    assert.deepEqual([...good.mirrors.keys()], [FAILING, logFails.options.name, SLOW]);
    for (const [name, { state, sizeBytes, legs, sync, problems }] of good.mirrors) {
      assert.deepEqual([state, sizeBytes, problems], ["up", MIRROR.sizeSectors * 512, []], name);
      assert.deepEqual(
        legs.map(({ health }) => health),
        ["alive", "alive"],
      );
      assert.equal(sync?.outOfSyncRegions, 0);
    }

    // A leg fails, a resync is slow, a log device fails, a mirror is down for want of a leg.
    await lab.dm.replace("leg", legTable.failing(MIRROR.sizeSectors));
    await failing.writeRegion(3, lab.random);
    const failure = await LogFailure.begin(lab, logFails);
    await lab.mirrors("down", SLOW);
    await lab.dm.replace(
      "slow-leg",
      `0 ${MIRROR.sizeSectors} delay ${DISKS[3]} ${6 * MIRROR.sizeSectors} 0 ${DISKS[3]} ${6 * MIRROR.sizeSectors} ${SLOW_WRITE_MS}`,
    );
    await lab.mirrors("up", SLOW);
    mkdirSync(MIRRORS_DIRECTORY, { recursive: true });
    writeFileSync(
      join(MIRRORS_DIRECTORY, "away.toml"),
      'uuid = "u"\nlegs = ["/dev/ubda", "/dev/gone:2s"]\nsize = "1M"\n',
    );

    const { exitCode, mirrors } = await look(lab);
    assert.equal(exitCode, 0);
    const failed = mirrors.get(FAILING);
    assert.deepEqual(
      failed?.legs.map(({ name, health }) => [name, health]),
      [
        ["/dev/mapper/leg-0", "alive"],
        ["/dev/mapper/leg", "write-failed"],
      ],
    );
    assert.deepEqual(kindsOf(failed), ["leg-failed"]);
    const copied = mirrors.get(SLOW);
    const { bytesPerSecond, secondsLeft, outOfSyncRegions = 0 } = copied?.sync ?? {};
    assert.deepEqual(copied?.problems, []);
    const regionBytes = MIRROR.regionSizeSectors * 512;
    if (bytesPerSecond != null) {
      assert(bytesPerSecond <= (2 * regionBytes * 1000) / SLOW_WRITE_MS, `${bytesPerSecond} bytes/s`);
      assert.equal(secondsLeft, Math.round((outOfSyncRegions * regionBytes) / bytesPerSecond));
    }
    const unlogged = mirrors.get(logFails.options.name);
    assert.deepEqual([unlogged?.isDeclared, unlogged?.log.deviceState], [false, "failed"]);
    assert.deepEqual(kindsOf(unlogged), ["log-device-failed"]);
    assert.equal(unlogged?.problems[0]?.isWaiting, true, "handle_errors without keep_log");
    const away = mirrors.get("away");
    assert.deepEqual([away?.state, kindsOf(away)], ["down", ["device-missing"]]);
    assert.deepEqual(
      away?.legs.map(({ isPresent }) => isPresent),
      [true, false],
    );

    const text = await lab.mirrors("status", "--uuids");
    lab.note(text.trimEnd());
    assert.match(text, new RegExp(`^${FAILING} +up, not declared +4 MiB +99\\.\\d % .*/dev/mapper/leg FAILED`, "m"));
    assert.match(text, new RegExp(`^${SLOW} +up +4 MiB +\\d+\\.\\d % +.* left`, "m"));
    assert.match(
      text,
      /^mirror +up, not declared .* its log device +\/dev\/mapper\/log FAILED.* mirror +\d+ +clustered-disk$/m,
    );
    assert.match(text, /^away +down +1 MiB .*\/dev\/gone MISSING/m);
    assert.match(
      text,
      /The log device of mirror has failed.*Writes wait until .*\n {2}Repair .* dmsetup suspend --noflush mirror/,
    );

    const metrics = (await scrape(lab)).split("\n");
    for (const sample of [
      `dm_ulog_mirror_up{mirror="${FAILING}"} 1`,
      'dm_ulog_mirror_up{mirror="away"} 0',
      `dm_ulog_mirror_problems{mirror="${SLOW}"} 0`,
      'dm_ulog_mirror_waiting{mirror="mirror"} 1',
      `dm_ulog_leg_failed{mirror="${FAILING}",leg="/dev/mapper/leg-0"} 0`,
      `dm_ulog_leg_failed{mirror="${FAILING}",leg="/dev/mapper/leg"} 1`,
    ]) {
      assert.ok(metrics.includes(sample), `${sample} is none of:\n${metrics.join("\n")}`);
    }

    // A server that hangs. What the kernel asks it waits, and so would whoever asked the kernel.
    process.kill(lab.server.pid, "SIGSTOP");
    await sleep(6000);
    const stoppedAt = performance.now();
    const hanging = await lab.tryMirrors("status");
    const hangingMs = performance.now() - stoppedAt;
    process.kill(lab.server.pid, "SIGCONT");
    assert.match(hanging.stdout, /last seen at work \d+ s ago: it is stuck|has not answered for 4 s/);
    assert(hangingMs < 2 * ANSWER_MS_MAX, `${hangingMs} ms`);

    await lab.server.kill();
    const killedAt = performance.now();
    const dead = await lab.tryMirrors("status");
    const deadMs = performance.now() - killedAt;
    assert.equal(dead.exitCode, 1);
    assert.match(dead.stdout, /^No server answers .* 3 mirrors wait for a server\.$/m);
    assert.match(dead.stdout, new RegExp(`^${SLOW} +up +4 MiB +a server `, "m"));
    assert(deadMs < ANSWER_MS_MAX, `${deadMs} ms`);
    lab.note(`answered after ${deadMs.toFixed(0)} ms without a server, ${hangingMs.toFixed(0)} ms with one that hangs`);

    await lab.server.start();
    await lab.dm.replace("slow-leg", legTable.plain(DISKS[3], MIRROR.sizeSectors, 6 * MIRROR.sizeSectors));
    await failure.repair();
    await slow.waitInSync();
  },
};

export const statusScenarios = [statusByName];
