/** The server as systemd starts it: the privileges that the unit leaves it are enough for everything it does. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DISK_MIRROR, MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";
import { askControlSocket } from "../guest/server-program.ts";
import { listenAsServiceManager } from "../guest/service-manager.ts";

/** Node.js itself has more than that. */
const LOCKED_KIB_MIN = 16 * 1024;

const capabilities: Scenario = {
  name: "capabilities",
  sentence:
    "A server with the systemd unit's capabilities and no other serves mirrors of both log types and tells its metrics.",
  nodeOnly: "the unit",
  async run(lab) {
    const names = lab.unitField("CapabilityBoundingSet");
    assert.ok(names.length > 0);
    await lab.server.start({ capabilities: names, quietTimeMs: 100 });
    const pid = readFileSync("/run/dm-ulog/lock", "utf8").trim();
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1]}`);
    assert.equal(effective.toString(2).replaceAll("0", "").length, names.length);
    assert.ok(Number(/^VmLck:\s*(\d+) kB$/m.exec(status)?.[1]) > LOCKED_KIB_MIN, "the program is locked in memory");

    const metrics = await askControlSocket("/metrics");
    assert.match(metrics, /^dm_ulog_requests_total\{type="CTR"\} 0$/m);

    const kinds: MirrorOptions[] = [MIRROR, DISK_MIRROR];
    for (const options of kinds) {
      const mirror = await lab.makeMirror({ ...options, integratedFlush: true });
      await mirror.waitInSync();
      await lab.load(mirror, ({ writes }) => writes < 50);
      // A log device learns of clears after the legs' caches were flushed, which takes their devices' names.
      await lab.server.waitForLog("every clear is on the device", ({ dirtyRegions, device }) => {
        return dirtyRegions === 0 && (device === null || device.unsettledRegions === 0);
      });
      await mirror.checkContents();
      assert.match(await askControlSocket("/metrics"), /^dm_ulog_log_in_sync_regions\{log="mirror",type="\S+"\} 128$/m);
      await lab.dm.remove("mirror");
    }
    assert.match(await askControlSocket("/metrics"), /^dm_ulog_request_duration_seconds_count\{type="CTR"\} 2$/m);
  },
};

const serviceManager: Scenario = {
  name: "service-manager",
  sentence: "A server tells systemd that it is ready, pings while it answers, and says that it stops.",
  nodeOnly: "the unit",
  async run(lab) {
    const messages = await listenAsServiceManager(lab.mainPath, "@lab");
    Object.assign(process.env, { NOTIFY_SOCKET: "@lab", WATCHDOG_USEC: "900000" });
    try {
      await lab.server.start();
    } finally {
      delete process.env.NOTIFY_SOCKET;
      delete process.env.WATCHDOG_USEC;
    }
    await sleep(1500);
    // What it says of its socket is for systemd's store of descriptors.
    const [first, ...pings] = messages().filter((message) => !message.startsWith("FDSTORE"));
    assert.equal(first, "READY=1");
    assert.ok(pings.length >= 2 && pings.every((message) => message === "WATCHDOG=1"), pings.join(" "));
    await lab.server.stop();
    assert.ok(messages().includes("STOPPING=1"));
  },
};

export const capabilityScenarios = [capabilities, serviceManager];
