/** Mirrors that a file declares: created, taken down, brought up again, and told apart from their files. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DISKS } from "../guest/contract.ts";
import { Disk } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import { MIRRORS_DIRECTORY } from "../guest/lab.ts";
import { waitForCleanLog } from "../guest/log-device.ts";
import { DISK_MIRROR, MIRROR } from "../guest/mirror.ts";
import { COMMANDS, type Scenario } from "../guest/scenario.ts";

const LOG_DEVICE = DISKS[3];

const declared: Scenario = {
  name: "declared",
  sentence:
    "`create` declares a mirror and brings it up; `down` and `up` bring it back with its log believed; `remove` ends it.",
  nativeOnly: COMMANDS,
  timeLimitMs: 180_000,
  async run(lab) {
    const path = join(MIRRORS_DIRECTORY, "mirror.toml");
    await lab.server.start();
    const mirror = await lab.declareMirror(DISK_MIRROR);
    const text = readFileSync(path, "utf8");
    assert.match(text, /^legs = \["\/dev\/ubda", "\/dev\/ubdb"\]$/m);
    assert.match(await mirror.table(), /userspace 5 dm-ulog-\S+ integrated_flush clustered-disk/);
    await mirror.waitInSync();
    await lab.load(mirror, ({ writes }) => writes < 50);
    await waitForCleanLog(LOG_DEVICE);

    // Nothing to do is no error; and what exists is not made twice.
    assert.match(await lab.mirrors("up", "mirror"), /^\/dev\/mapper\/mirror is up\.\n$/);
    assert.match(await lab.mirrors("list"), /mirror +up +4 MiB +\/dev\/ubda \/dev\/ubdb +\/dev\/ubdd/);
    const twice = await lab.tryMirrors("create", "mirror", DISKS[2], DISKS[1]);
    assert.equal(twice.exitCode, 1);
    assert.match(twice.stderr, /The mirror mirror is declared already/);

    // In use.
    const disk = await Disk.open(mirror.path);
    const busy = await lab.tryMirrors("down", "mirror");
    assert.equal(busy.exitCode, 1);
    assert.match(busy.stderr, /mirror cannot be taken down\. It is in use/);
    await disk.close();

    // Down and up: the log is believed.
    assert.match(await lab.mirrors("down", "--all"), /is down\.\n$/);
    lab.dm.gone("mirror");
    assert.equal(existsSync(mirror.path), false);
    assert.match(await lab.mirrors("down", "mirror"), /is down already\.\n$/);
    assert.match(await lab.mirrors("up", "--all"), /is up: 4 MiB\.\n$/);
    lab.dm.found("mirror");
    await mirror.waitInSync();
    assert.equal((await lab.server.onlyLog()).resynced, 0);
    await mirror.checkContents();

    // Suspended by somebody who was killed.
    await mirror.suspend();
    assert.match(await lab.mirrors("list"), /mirror +suspended/);
    assert.match(await lab.mirrors("up", "mirror"), /was suspended, and goes on/);
    await lab.load(mirror, ({ writes }) => writes < 10);

    // A file that was changed.
    writeFileSync(
      path,
      text
        .replace('"32K"', '"64K"')
        .replace('region-size = "64s"', 'region-size = "128s"')
        .replaceAll("/dev/ubdb", DISKS[2]),
    );
    const differs = await lab.tryMirrors("up", "mirror");
    assert.equal(differs.exitCode, 1);
    assert.match(
      differs.stderr,
      /is up, and differs from its file\.\nLegs: the mirror has 98:0 98:16, its file 98:0 98:32\./,
    );
    assert.match(differs.stderr, /Size of a region: the mirror has 64 sectors, its file 128 sectors\./);
    assert.match(differs.stderr, /Change the file back, then: dm-ulog replace mirror OLD NEW/);
    assert.match(await lab.mirrors("list"), /mirror +differs/);

    // A file that cannot be read names the place; the others are not in the way of it.
    writeFileSync(join(MIRRORS_DIRECTORY, "a.toml"), 'uuid = "a"\nlegs = "/dev/ubda"\n');
    const wrong = await lab.tryMirrors("list");
    assert.equal(wrong.exitCode, 1);
    assert.match(wrong.stderr, /a\.toml:2:8: legs must be a list of texts/);
    assert.match(wrong.stdout, /mirror +differs/);

    writeFileSync(path, text);
    assert.match(await lab.mirrors("remove", "mirror"), /mirror\.toml is deleted/);
    lab.dm.gone("mirror");
    assert.equal(existsSync(path), false);
  },
};

const declaredWithoutServer: Scenario = {
  name: "declared-without-server",
  sentence: "`create` and `up` without a server, or without a leg, say what to do, and leave nothing behind.",
  expectedKernelLog: [/Userspace log server not found/, /error adding target to table/],
  possibleKernelLog: [/device-mapper: .*/],
  nativeOnly: COMMANDS,
  timeLimitMs: 180_000,
  async run(lab) {
    await lab.server.start();
    const leg = await lab.dm.create("leg", legTable.plain(MIRROR.legs[1], MIRROR.sizeSectors));
    const mirror = await lab.declareMirror({ ...MIRROR, legs: [MIRROR.legs[0], leg] });
    await mirror.waitInSync();
    await lab.mirrors("down", "mirror");
    lab.dm.gone("mirror");
    await lab.dm.remove("leg");
    const missing = await lab.tryMirrors("up", "mirror", "--wait", "1s");
    assert.equal(missing.exitCode, 1);
    assert.match(missing.stdout, /mirror waits up to 1 s for \/dev\/mapper\/leg\./);
    assert.match(missing.stderr, /mirror cannot be brought up: \/dev\/mapper\/leg is not there\./);

    // It comes while somebody waits for it.
    const waiting = lab.mirrors("up", "mirror", "--wait", "20s");
    await new Promise((resolve) => setTimeout(resolve, 4000));
    await lab.dm.create("leg", legTable.plain(MIRROR.legs[1], MIRROR.sizeSectors));
    assert.match(await waiting, /is up: 4 MiB\./);
    await lab.mirrors("down", "mirror");

    await lab.server.stop();
    const alone = await lab.tryMirrors("up", "mirror");
    assert.equal(alone.exitCode, 1);
    assert.match(
      alone.stderr,
      /mirror cannot be brought up\. No server answers the kernel\. Start it: systemctl start dm-ulog/,
    );
    const create = await lab.tryMirrors("create", "other", DISKS[2], DISKS[3], "--force");
    assert.equal(create.exitCode, 1);
    assert.match(create.stderr, /other cannot be brought up, and is not declared\. No server answers/);
    assert.equal(existsSync(join(MIRRORS_DIRECTORY, "other.toml")), false);
    await lab.server.start();
  },
};

export const declaredScenarios = [declared, declaredWithoutServer];
