/** The unit under systemd itself: within its restrictions a server serves, and is started again when it dies or hangs. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import { RECONNECTED, SERVER_AWAY } from "../guest/kernel-log.ts";
import type { Lab } from "../guest/lab.ts";
import { raiseLoopback } from "../guest/loopback.ts";
import { DISK_MIRROR, MIRROR, type Mirror, type MirrorOptions } from "../guest/mirror.ts";
import { say } from "../guest/say.ts";
import type { Scenario } from "../guest/scenario.ts";
import { statusOfJson } from "../guest/status.ts";
import { Systemd } from "../guest/systemd.ts";

const VIEW_PORT = 7003;
const METRICS_PORT = 7004;
const OUTPUT = "/run/service.log";
/** Less than the unit's, so that nobody waits for half a minute. */
const WATCHDOG_S = 6;
const PAUSE_MS = 1000;

/** The settings in which this machine differs from the one that the unit is for. */
function dropInOf(lab: Lab): string {
  const program = join(lab.repositoryPath, "dist/native/dm-ulogd");
  const serve = `${process.execPath} ${lab.mainPath} serve --host node --view ${VIEW_PORT} --metrics ${METRICS_PORT}`;
  const isNative = lab.server === lab.servers.native;
  const reload = isNative ? `ExecReload=\nExecReload=${program} --flight-recorder 1M --take-over --detach\n` : "";
  return `[Service]
ExecStart=
ExecStart=${isNative ? program : serve} --flight-recorder 1M
${reload}WatchdogSec=${WATCHDOG_S}s
StandardOutput=append:${OUTPUT}
StandardError=inherit
`;
}

/** The server that came back knows that all is in sync. Returns the port of its socket. */
async function checkInSync(lab: Lab, systemd: Systemd, mirrors: readonly Mirror[]): Promise<number> {
  const json = await systemd.run(process.execPath, lab.mainPath, "status", "--json");
  const { logs } = statusOfJson(json);
  assert.deepEqual(
    logs.map(({ uuid, outOfSyncRegions }) => [uuid, outOfSyncRegions]),
    mirrors.map(({ options }) => [options.name, 0]),
  );
  return (JSON.parse(json) as { server: { netlinkPort: number } }).server.netlinkPort;
}

/** Nobody receives the kernel's requests: it hears so at once. */
async function waitForNoServer(): Promise<void> {
  for (const deadline = Date.now() + 5000; ; await sleep(100)) {
    const isThere = readFileSync("/proc/net/netlink", "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .some(([, protocol, , groups = "0"]) => protocol === "11" && (Number.parseInt(groups, 16) & (1 << 6)) !== 0);
    if (!isThere) return;
    assert.ok(Date.now() < deadline, "The socket is kept though the service was stopped");
  }
}

const service: Scenario = {
  name: "service",
  sentence:
    "systemd starts the unit; with all it forbids the server serves, and comes back when it is killed or hangs.",
  hostsOnly: "the unit",
  timeLimitMs: 180_000,
  // A server that is back soon is missed only where the kernel asks something meanwhile.
  possibleKernelLog: [RECONNECTED, SERVER_AWAY],
  async run(lab) {
    raiseLoopback(lab.mainPath);
    rmSync(OUTPUT, { force: true });
    const systemd = Systemd.start("dm-ulog.service", lab.unit, dropInOf(lab));
    try {
      await systemd.waitFor({ ActiveState: "active" });
      const isNative = lab.server === lab.servers.native;
      for (const path of isNative ? [] : [`${VIEW_PORT}/`, `${METRICS_PORT}/metrics`]) {
        assert.equal((await fetch(`http://127.0.0.1:${path}`)).status, 200, path);
      }

      const options: MirrorOptions[] = [
        { ...MIRROR, name: "core" },
        { ...DISK_MIRROR, name: "disk", integratedFlush: true },
      ];
      const mirrors: Mirror[] = [];
      for (const [index, one] of options.entries()) {
        const leg = (disk: string, name: string) =>
          lab.dm.create(`${one.name}-${name}`, legTable.plain(disk, one.sizeSectors, index * one.sizeSectors));
        mirrors.push(await lab.makeMirror({ ...one, legs: [await leg(DISKS[0], "0"), await leg(DISKS[1], "1")] }));
      }
      await Promise.all(mirrors.map((mirror) => mirror.waitInSync()));
      const port = await checkInSync(lab, systemd, mirrors);
      const loads = mirrors.map((mirror) => lab.keepWriting(mirror));
      await sleep(PAUSE_MS);
      await systemd.do("kill", "--signal=KILL");
      await systemd.waitFor({ NRestarts: "1", ActiveState: "active" });
      assert.equal(await checkInSync(lab, systemd, mirrors), port, "systemd has kept the socket");
      await sleep(PAUSE_MS);
      await systemd.do("kill", "--signal=STOP");
      await systemd.waitFor({ NRestarts: "2", ActiveState: "active" });
      assert.equal(await checkInSync(lab, systemd, mirrors), port, "systemd has kept the socket");
      await sleep(PAUSE_MS);
      if (isNative) {
        // Another process takes over, and systemd knows it.
        const before = await systemd.do("show", "--property=MainPID");
        await systemd.do("reload");
        await systemd.waitFor({ NRestarts: "2", ActiveState: "active" });
        assert.notEqual(await systemd.do("show", "--property=MainPID"), before);
        assert.equal(await checkInSync(lab, systemd, mirrors), port, "systemd has kept the socket");
        await sleep(PAUSE_MS);
      }
      // Asked to end, the server leaves the socket to the next one.
      await systemd.do("restart");
      assert.equal(await checkInSync(lab, systemd, mirrors), port, "systemd has kept the socket");
      await sleep(PAUSE_MS);
      const tallies = await Promise.all(loads.map((load) => load.stop()));
      const stallMs = Math.max(...tallies.map(({ longestStallMs }) => longestStallMs));
      const writes = tallies.reduce((sum, tally) => sum + tally.writes, 0);
      if (isNative) assert.ok(stallMs < (WATCHDOG_S + 10) * 1000, "a request waited for more than the watchdog");
      lab.note(`killed once, stopped once; 0 I/O errors in ${writes} writes, longest stall ${stallMs.toFixed(0)} ms`);
      for (const mirror of mirrors) await mirror.checkContents();
      // Ended for good, it leaves none, though there are logs.
      await systemd.do("stop");
      await waitForNoServer();
      await systemd.do("start");
      assert.notEqual(
        await checkInSync(lab, systemd, mirrors),
        port,
        "systemd keeps the socket of a service that was stopped",
      );
      for (const mirror of mirrors) await mirror.remove();
      await systemd.do("stop");
      await systemd.waitFor({ ActiveState: "inactive", Result: "success" });
    } finally {
      say(readFileSync(OUTPUT, "utf8"));
      await systemd.end();
    }
    const said = readFileSync(OUTPUT, "utf8");
    assert.match(said, /dm-ulogd? has stopped\.\n$/);
    assert.doesNotMatch(said, /EPERM|not permitted|There is no/);
  },
};

export const serviceScenarios = [service];
