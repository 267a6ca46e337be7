/** dm-ulog report of a real machine: all of it, and what is left of it where the server hangs or is dead, or a device hangs. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { runCommand } from "../guest/command.ts";
import { DISKS } from "../guest/contract.ts";
import { Disk } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import { RECONNECTED, SERVER_AWAY } from "../guest/kernel-log.ts";
import type { Lab } from "../guest/lab.ts";
import { waitForCleanLog } from "../guest/log-device.ts";
import { LOG_SIZE_SECTORS } from "../guest/log-failure.ts";
import { DISK_MIRROR } from "../guest/mirror.ts";
import { COMMANDS, type Scenario } from "../guest/scenario.ts";

const MARKER = "this is what somebody wrote to the mirror";
/** A program in it may take 15 s, and this guest two to start one. */
const REPORT_MS_MAX = 25_000;

interface Report {
  stdout: string;
  ms: number;
  /** Missing parts. */
  missing: string[];
  /** The text of a part. */
  read(part: string): string;
  has(part: string): boolean;
  path(part: string): string;
  /** The whole archive. */
  tar: Buffer;
}

async function collect(lab: Lab, folder: string, name: string): Promise<Report> {
  const file = join(folder, `${name}.tar.gz`);
  const beganAt = performance.now();
  const stdout = await lab.mirrors("report", file);
  const ms = performance.now() - beganAt;
  await runCommand("tar", ["-xzf", file, "-C", folder]);
  const top = readdirSync(folder).find((one) => /^dm-ulog-report-\d+T\d+$/.test(one)) as string;
  const kept = join(folder, name);
  await runCommand("mv", [join(folder, top), kept]);
  const missing = /^missing +why\n((?:.+\n)*)/m.exec(stdout)?.[1] ?? "";
  const path = (part: string) => join(kept, part);
  return {
    stdout,
    ms,
    missing: missing.split("\n").flatMap((line) => line.split(" ")[0] || []),
    read: (part) => readFileSync(path(part), "utf8"),
    has: (part) => existsSync(path(part)),
    path,
    tar: gunzipSync(readFileSync(file)),
  };
}

const reportScenario: Scenario = {
  name: "report",
  sentence:
    "`dm-ulog report` has everything of a good machine, and most of one whose server hangs or is dead, or whose device hangs.",
  hostsOnly: "the command looks at a host",
  nativeOnly: COMMANDS,
  timeLimitMs: 240_000,
  possibleKernelLog: [RECONNECTED, SERVER_AWAY],
  async run(lab) {
    const folder = mkdtempSync(join(tmpdir(), "report-"));
    await lab.server.start();
    const log = await lab.dm.create("log", legTable.plain(DISKS[3], LOG_SIZE_SECTORS));
    const mirror = await lab.declareMirror({ ...DISK_MIRROR, logDevice: log });
    await mirror.waitInSync();
    mirror.contents.fill(MARKER, 0, 64 * 1024);
    const disk = await Disk.open(mirror.path);
    await disk.writeCopy(mirror.contents.subarray(0, 64 * 1024), 0);
    await disk.close();
    await waitForCleanLog(log);

    const good = await collect(lab, folder, "good");
    lab.note(good.stdout.trimEnd());
    // The guest has no journal.
    assert.deepEqual(good.missing, ["journal.txt"], good.stdout);
    assert.match(good.read("status.txt"), /^mirror +up +4 MiB +100\.0 %/m);
    assert.match(good.read("tables.txt"), /^mirror: 8192 mirror userspace .* clustered-disk \/dev\/mapper\/log/m);
    assert.match(good.read("tables.txt"), new RegExp(`^log: ${LOG_SIZE_SECTORS} linear$`, "m"));
    assert.match(good.read("declared/mirror.toml"), /^uuid = /m);
    assert.match(good.read("processes.txt"), new RegExp(`process ${lab.server.pid}: .*(main.js serve|dm-ulogd)`));
    assert.match(good.read("metrics.txt"), /^dm_ulog_logs 1$/m);
    assert.match(good.read("doctor.txt"), /holds its log\./);
    assert.match(
      await lab.dmUlog("inspect", good.path("flight-recorder.pcapng"), "--limit", "5"),
      /MARK_REGION|GET_|FLUSH|CTR/,
    );
    assert.equal(good.tar.includes(MARKER), false, "Data of the mirror is in the report");
    assert.equal(good.tar.includes(mirror.options.name), true);

    process.kill(lab.server.pid, "SIGSTOP");
    await sleep(6000);
    const hanging = await collect(lab, folder, "hanging");
    process.kill(lab.server.pid, "SIGCONT");
    assert(hanging.ms < REPORT_MS_MAX, `${hanging.ms} ms`);
    assert.match(hanging.read("status.txt"), /it is stuck, and mirrors wait|has not answered for 4 s/);
    assert.match(hanging.read("processes.txt"), /State:\s+T \(stopped\)/);
    assert.equal(hanging.has("flight-recorder.pcapng"), true);

    // Nobody can end who waits for a device: the doctor leaves the process behind that reads it.
    await lab.dm.suspend("log");
    // What it has read before the kernel still knows.
    writeFileSync("/proc/sys/vm/drop_caches", "1");
    const stuck = await collect(lab, folder, "stuck");
    await lab.dm.resume("log");
    assert(stuck.ms < REPORT_MS_MAX, `${stuck.ms} ms`);
    assert.deepEqual(stuck.missing, ["journal.txt"], stuck.stdout);
    assert.match(stuck.read("doctor.txt"), /cannot be read: it hangs: a read has not ended within 2 s\./);

    await lab.server.kill();
    const dead = await collect(lab, folder, "dead");
    assert.match(dead.read("status.txt"), /^No server answers .* 1 mirror waits for a server\.$/m);
    assert.deepEqual(dead.missing, ["metrics.txt", "journal.txt"], dead.stdout);
    assert.equal(dead.has("flight-recorder.pcapng"), true, "What the server did before it was killed");
    const took = [good, hanging, stuck, dead].map(({ ms }) => `${(ms / 1000).toFixed(1)} s`);
    lab.note(`it took ${took.join(", ")}: with a server, one that hangs, a device that hangs, no server`);

    await lab.server.start();
    await mirror.waitInSync();
    await mirror.checkContents();
    rmSync(folder, { recursive: true });
  },
};

export const reportScenarios = [reportScenario];
