import assert from "node:assert/strict";
import { MIRROR, mirrorTable } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const REFUSED_BY_KERNEL = [/mirror: Error creating mirror dirty log/, /ioctl: error adding target to table/];

const removeAndCreateAgain: Scenario = {
  name: "remove",
  sentence: "A removed mirror leaves no log behind, and one made with the same UUID starts afresh.",
  async run(lab) {
    await lab.server.start();
    const first = await lab.makeMirror(MIRROR);
    await first.waitInSync();
    await first.remove();
    assert.deepEqual(await lab.server.logs(), []);
    const second = await lab.makeMirror(MIRROR);
    await second.waitInSync();
    await second.checkContents();
  },
};

const badTables: Scenario = {
  name: "bad-tables",
  sentence: "Tables that make no sense are refused, leave no log behind, and the server goes on serving.",
  expectedKernelLog: [
    ...REFUSED_BY_KERNEL,
    /dm-log-userspace: Userspace log server failed to create log/,
    /dm-log-userspace: Too few arguments to userspace dirty log/,
  ],
  async run(lab) {
    await lab.server.start();
    const badLogs: Record<string, string> = {
      "a region size of 3": "userspace 3 bad clustered-core 3",
      "a region size of 0": "userspace 3 bad clustered-core 0",
      "a region larger than the mirror": "userspace 3 bad clustered-core 16384",
      "a region size that is no number": "userspace 3 bad clustered-core many",
      "no region size": "userspace 2 bad clustered-core",
      "an unknown log type": "userspace 3 bad clustered-bogus 64",
      "an unknown last word": "userspace 4 bad clustered-core 64 sometimes",
    };
    for (const [what, log] of Object.entries(badLogs)) {
      const table = `0 8192 mirror ${log} 2 /dev/ubda 0 /dev/ubdb 0 1 handle_errors`;
      const { exitCode, stderr } = await lab.dm.tryCreate("bad", table);
      assert.notEqual(exitCode, 0, `A table with ${what} was taken`);
      assert.match(stderr, /Invalid argument/, `A table with ${what}`);
    }
    assert.deepEqual(await lab.server.logs(), []);
    const mirror = await lab.makeMirror(MIRROR);
    await mirror.waitInSync();
    await mirror.checkContents();
  },
};

const noServer: Scenario = {
  name: "no-server",
  sentence: "Without a server the kernel refuses a new mirror at once, and the same table is taken when there is one.",
  expectedKernelLog: [
    ...REFUSED_BY_KERNEL,
    /dm-log-userspace: Unable to send log request \[1\] to userspace: -3/,
    /dm-log-userspace: Userspace log server not found/,
  ],
  async run(lab) {
    const { exitCode, stderr } = await lab.dm.tryCreate(MIRROR.name, mirrorTable(MIRROR));
    assert.notEqual(exitCode, 0);
    assert.match(stderr, /Invalid argument/);
    await lab.server.start();
    const mirror = await lab.makeMirror(MIRROR);
    await mirror.waitInSync();
  },
};

const secondServer: Scenario = {
  name: "second-server",
  sentence: "A second server is refused with a sentence while the first goes on serving.",
  async run(lab) {
    await lab.server.start();
    const mirror = await lab.makeMirror(MIRROR);
    const { exitCode, stderr } = await lab.server.tryAnother();
    assert(exitCode !== 0 && exitCode !== null, `A second server ended with ${exitCode}`);
    assert.match(stderr.trim(), /^\S+( \S+){4,}$/, "It must say why, in words and on one line: no stack");
    await mirror.waitInSync();
    await mirror.checkContents();
  },
};

export const lifeScenarios = [removeAndCreateAgain, badTables, noServer, secondServer];
