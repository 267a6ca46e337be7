/** What dm-ulog doctor says of a real machine: without a server, with one, and with a mirror that has silently stopped mirroring. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import { RECONNECTED, SERVER_AWAY } from "../guest/kernel-log.ts";
import type { Lab } from "../guest/lab.ts";
import { DISK_MIRROR, MIRROR } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

interface Finding {
  level: string;
  what: string;
  remedy?: string;
}

async function ask(lab: Lab): Promise<{ exitCode: number | null; worst: Finding[]; all: Finding[] }> {
  const { exitCode, stdout, stderr } = await lab.tryDmUlog("doctor", "--json");
  assert.equal(stderr, "");
  const all = JSON.parse(stdout) as Finding[];
  return { exitCode, all, worst: all.filter(({ level }) => level === "problem") };
}

const doctor: Scenario = {
  name: "doctor",
  sentence: "dm-ulog doctor finds nothing wrong with a good machine, and what is wrong with others; its advice helps.",
  hostsOnly: "what the doctor asks the server",
  timeLimitMs: 120_000,
  expectedKernelLog: [RECONNECTED, SERVER_AWAY],
  keptKernelLog: { possible: [RECONNECTED, SERVER_AWAY] },
  async run(lab) {
    // Earlier scenarios have killed servers.
    rmSync("/run/dm-ulog/crashes", { recursive: true, force: true });
    const without = await ask(lab);
    assert.equal(without.exitCode, 1, JSON.stringify(without.all));
    assert.ok(without.all.some(({ what }) => /No server answers/.test(what)));

    await lab.server.start();
    const mirror = await lab.makePrintedMirror(MIRROR);
    await mirror.waitInSync();
    const good = await ask(lab);
    assert.equal(good.exitCode, 0, JSON.stringify(good.all));
    assert.ok(good.all.some(({ what }) => what === "mirror (log mirror) is in sync."));

    await lab.server.kill();
    const waiting = await ask(lab);
    assert.equal(waiting.exitCode, 2);
    assert.match(
      waiting.worst[0]?.what ?? "",
      /No server runs, and the writes of these mirrors wait for one: mirror\./,
    );

    // The kernel remembers that all was in sync, the next server knows nothing.
    rmSync("/run/dm-ulog/state", { recursive: true });
    await lab.server.start();
    await mirror.writeRegion(3, lab.random);
    const silent = await ask(lab);
    assert.equal(silent.exitCode, 2, JSON.stringify(silent.all));
    assert.match(silent.worst[0]?.what ?? "", /128 of 128 regions are out of sync and nobody copies them/);
    assert.equal(silent.worst[0]?.remedy, "dmsetup suspend mirror && dmsetup resume mirror");
    await lab.dm.suspend("mirror");
    await lab.dm.resume("mirror");
    await mirror.waitInSync();
    await mirror.checkContents();
    const recovered = await ask(lab);
    assert.equal(recovered.exitCode, 1);
    assert.deepEqual(
      recovered.all.filter(({ level }) => level !== "fine").map(({ what }) => what),
      ["1 traces of failures are there."],
      "the server was killed",
    );
    rmSync("/run/dm-ulog/crashes", { recursive: true });

    await lab.dm.remove("mirror");
    const onDisk = await lab.makePrintedMirror(DISK_MIRROR);
    await onDisk.waitInSync();
    const kept = await ask(lab);
    assert.equal(kept.exitCode, 0, JSON.stringify(kept.all));
    assert.ok(kept.all.some(({ what }) => /^The log device \S+ of mirror holds its log\.$/.test(what)));
    await lab.dm.remove("mirror");

    await lab
      .makeMirror({ ...MIRROR, logType: "kernel core", features: ["handle_errors", "keep_log"] })
      .then((other) => other.waitInSync());
    const fallenBack = await ask(lab);
    assert.equal(fallenBack.exitCode, 1, JSON.stringify(fallenBack.all));
    assert.ok(fallenBack.all.some(({ what }) => /mirror keeps its log in the kernel \(core\)/.test(what)));
  },
};

const doctorOfDevices: Scenario = {
  name: "doctor-devices",
  sentence: "dm-ulog doctor finds the mirrors that dm-ulog table would not have printed, which the kernel takes.",
  hostsOnly: "what the doctor asks the server",
  timeLimitMs: 120_000,
  async run(lab) {
    rmSync("/run/dm-ulog/crashes", { recursive: true, force: true });
    await lab.server.start();
    const [leg, , other, log] = DISKS;
    const features = "2 handle_errors keep_log";
    const line = (uuid: string, words: string, legs: string, rest = features) =>
      `0 8192 mirror userspace ${1 + words.split(" ").length} ${uuid} ${words} 2 ${legs} ${rest}`;
    await lab.dm.create("twice", line("twice", "clustered-core 64 nosync", `${leg} 0 ${leg} 8192`));
    await lab.dm.create("on-its-log", line("on-its-log", `clustered-disk ${log} 64 nosync`, `${other} 0 ${log} 0`));
    const lower = await lab.dm.create("lower", legTable.plain(DISKS[1], 16384));
    await lab.dm.create(
      "on-top",
      line("on-top", "clustered-core 64 nosync", `${DISKS[1]} 0 ${lower} 8192`, "1 handle_errors"),
    );
    const { exitCode, all, worst } = await ask(lab);
    assert.equal(exitCode, 2);
    const told = worst.map(({ what }) => what).join("\n");
    assert.match(told, /^twice: The leg 98:0 is the same device as the leg 98:0: /m);
    assert.match(told, /^on-its-log: The log device \S+ is the same device as the leg 98:48: /m);
    assert.match(told, /^on-top: The leg \d+:\d+ lies on the leg 98:16: /m);
    const advice = all.filter(({ level }) => level === "advice").map(({ what }) => what);
    assert.ok(
      advice.some((what) => /^on-top stops all writes when a leg fails/.test(what)),
      advice.join("\n"),
    );
    assert.ok(!advice.some((what) => /^(twice|on-its-log) stops all writes/.test(what)), advice.join("\n"));
  },
};

export const doctorScenarios = [doctor, doctorOfDevices];
