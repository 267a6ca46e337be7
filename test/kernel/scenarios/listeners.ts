/** Others beside the server: one that receives the kernel's requests and does not read, and a second server. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { startDeafListener } from "../guest/deaf-listener.ts";
import { OVERWRITTEN } from "../guest/kernel-log.ts";
import type { Lab } from "../guest/lab.ts";
import { DISK_MIRROR, MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";
import { askControlSocket } from "../guest/server-program.ts";

const WRITES = 40;
/** The server looks every 5 s. */
const LOOK_TIME_LIMIT_MS = 15_000;

interface Finding {
  level: string;
  what: string;
  remedy?: string;
}

async function problems(lab: Lab): Promise<Finding[]> {
  const { stdout } = await lab.tryDmUlog("doctor", "--json");
  return (JSON.parse(stdout) as Finding[]).filter(({ level }) => level === "problem");
}

async function mirrorsToCheck(): Promise<string[]> {
  const status = JSON.parse(await askControlSocket("/status")) as { others: { toCheck: string[] } };
  return status.others.toCheck;
}

async function waitForMirrorsToCheck(expected: string[]): Promise<void> {
  for (const end = Date.now() + LOOK_TIME_LIMIT_MS; Date.now() < end; await sleep(200)) {
    if (JSON.stringify(await mirrorsToCheck()) === JSON.stringify(expected)) return;
  }
  assert.deepEqual(await mirrorsToCheck(), expected);
}

const deafListener: Scenario = {
  name: "deaf-listener",
  sentence:
    "A program that takes the kernel's requests and reads none lets legs differ under a log that is in sync: the server and the doctor say so, and what they advise heals it.",
  nodeOnly: "that it says which mirrors need a check no more",
  timeLimitMs: 150_000,
  possibleKernelLog: [OVERWRITTEN],
  expectedKernelLog: [/dm-log-userspace: Unable to send log request \[\d+\] to userspace: -105$/],
  async run(lab) {
    await lab.server.start();
    const kinds: MirrorOptions[] = [MIRROR, DISK_MIRROR];
    for (const options of kinds) {
      const mirror = await lab.makeMirror(options);
      await mirror.waitInSync();
      assert.deepEqual(await mirrorsToCheck(), []);
      const deaf = await startDeafListener(lab.mainPath);
      await lab.load(mirror, ({ writes }) => writes < WRITES);
      await waitForMirrorsToCheck(["mirror"]);
      const { inSyncRegions, outOfSyncRegions } = await lab.server.onlyLog();
      const differing = (await mirror.wrongRegions(mirror.options.legs[1])).length;
      lab.note(`${options.logType}: ${differing} of 128 regions differ under a log that says ${inSyncRegions}/128`);
      assert.ok(differing > 0, "it does no harm: what is the watch for?");
      assert.equal(outOfSyncRegions, 0);
      const metrics = await askControlSocket("/metrics");
      assert.match(metrics, /^dm_ulog_other_listeners 1$/m);
      assert.match(metrics, /^dm_ulog_other_listeners_dropped_total [1-9]\d*$/m);
      assert.match(metrics, /^dm_ulog_log_needs_check\{log="mirror",type="\S+"\} 1$/m);

      const [found, checked] = (await problems(lab)).sort(
        (a, b) => Number(/was in use/.test(a.what)) - Number(/was in use/.test(b.what)),
      );
      assert.match(found?.what ?? "", new RegExp(`^Process ${deaf.pid} \\(\\S+, user 0\\) .* does not read them`));
      assert.match(found?.remedy ?? "", new RegExp(`^sudo kill ${deaf.pid}\\.`));
      assert.match(checked?.what ?? "", /^mirror \(log mirror\) was in use/);
      assert.match(checked?.remedy ?? "", /dmsetup table mirror .* dmsetup suspend mirror && dmsetup resume mirror$/);

      const ended = once(deaf, "exit");
      deaf.kill();
      await ended;
      // As advised: the same table, with the word sync, and 1 more before the UUID.
      await mirror.load({ ...options, sync: "sync" });
      await mirror.suspend();
      await mirror.resume();
      await mirror.waitInSync();
      await mirror.checkContents();
      await waitForMirrorsToCheck([]);
      assert.deepEqual(await problems(lab), []);
      await mirror.remove();
    }
  },
};

const secondServerElsewhere: Scenario = {
  name: "second-server-elsewhere",
  sentence: "A second server with a runtime directory of its own is refused before it hears of any request.",
  hostsOnly: "the machine's lock",
  async run(lab) {
    await lab.server.start();
    const mirror = await lab.makeMirror(MIRROR);
    const { exitCode, stdout, stderr } = await lab.server.tryAnother({ words: ["--runtime-dir", "/run/elsewhere"] });
    assert.equal(exitCode, 1, stdout);
    assert.match(stderr, /^dm-ulog: Another dm-ulog serves this machine \(process \d+\)\. .*--force$/m);
    await mirror.waitInSync();
    await mirror.checkContents();
    // A kill frees the lock.
    await lab.server.kill();
    await lab.server.start();
  },
};

export const listenerScenarios = [deafListener, secondServerElsewhere];
