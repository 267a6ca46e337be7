// What the service manager is told, and what the server's log looks like for whom.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { limitedLog, SENTENCES_PER_SECOND_MAX } from "../src/cli/limited-log.ts";
import { type LogFormat, logFormatOf, ServerLog } from "../src/cli/server-log.ts";
import { ServiceManager } from "../src/node/control/service-manager.ts";
import { NotifySocket } from "./notify-socket.ts";

test("readiness and the end are told, to a path and to an abstract name", () => {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-notify-"));
  try {
    for (const name of [join(folder, "notify"), `@dm-ulog-test-${process.pid}`]) {
      const socket = new NotifySocket(name);
      const manager = ServiceManager.find({ NOTIFY_SOCKET: name });
      manager?.ready();
      manager?.watch(() => assert.unreachable("nobody watches"));
      manager?.stopping();
      assert.equal(socket.rest(), ["READY=1", "STOPPING=1"]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a ping follows a check that succeeds, and no other", async () => {
  const name = `@dm-ulog-watchdog-${process.pid}`;
  const socket = new NotifySocket(name);
  const manager = ServiceManager.find({ NOTIFY_SOCKET: name, WATCHDOG_USEC: "60000", WATCHDOG_PID: `${process.pid}` });
  let checks = 0;
  manager?.watch(() => {
    if (++checks > 3) throw new Error("The request thread has not answered.");
  });
  while (checks < 6) await sleep(10);
  assert.equal(socket.rest(), ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
  manager?.stopping();
  const before = checks;
  await sleep(100);
  assert.is(checks, before, "who ends is asked no more");
});

test("without a service manager nobody is told, and another process' watchdog is not ours", async () => {
  assert.is(ServiceManager.find({}), undefined);
  assert.is(ServiceManager.find({ NOTIFY_SOCKET: "vsock:2:1" }), undefined);
  const name = `@dm-ulog-other-${process.pid}`;
  const socket = new NotifySocket(name);
  ServiceManager.find({ NOTIFY_SOCKET: name, WATCHDOG_USEC: "20000", WATCHDOG_PID: "1" }, 2)?.watch(() => {});
  await sleep(60);
  assert.equal(socket.rest(), []);
});

test("the watchdog keeps no process from ending", async () => {
  const manager = new URL("../dist/node/control/service-manager.js", import.meta.url).href;
  const environment = `{ NOTIFY_SOCKET: "@nobody", WATCHDOG_USEC: "1000000" }`;
  const program = `import { ServiceManager } from "${manager}"; ServiceManager.find(${environment}).watch(() => {});`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "ignore", timeout: 20_000 });
  assert.equal(await once(child, "exit"), [0, null]);
});

function logged(format: LogFormat): { log: string[]; error: string[] } {
  const lines: { log: string[]; error: string[] } = { log: [], error: [] };
  const log = new ServerLog(format, {
    log: (line) => lines.log.push(line),
    error: (line) => lines.error.push(line),
  });
  log.info("It serves.");
  log.warning("It swaps.");
  log.error("It fails:\n  here");
  return lines;
}

test("the log is plain for a person, with priorities for the journal, JSON for a program", () => {
  assert.is(logFormatOf({}), "plain");
  const { dev, ino } = fstatSync(1);
  assert.is(logFormatOf({ JOURNAL_STREAM: `${dev}:${ino}` }), "journal");
  assert.is(logFormatOf({ JOURNAL_STREAM: `${dev}:${ino + 1}` }), "plain", "another stream's");
  assert.equal(logged("plain"), {
    log: ["It serves."],
    error: ["dm-ulog: It swaps.", "dm-ulog: It fails:\n  here"],
  });
  assert.equal(logged("journal"), { log: ["<6>It serves.", "<4>It swaps.", "<3>It fails:", "<3>  here"], error: [] });
  const { log, error } = logged("json");
  assert.equal(error, []);
  const objects = log.map((line) => JSON.parse(line) as { time: string; level: string; message: string });
  assert.equal(
    objects.map(({ level, message }) => [level, message]),
    [
      ["info", "It serves."],
      ["warning", "It swaps."],
      ["error", "It fails:\n  here"],
    ],
  );
  assert.ok(objects.every(({ time }) => Math.abs(Date.parse(time) - Date.now()) < 60_000));
});

test("a flood of sentences is counted, each level for itself", () => {
  const shown: string[] = [];
  let uptimeS = 1;
  const log = limitedLog(
    (sentence, level) => shown.push(`${level}: ${sentence}`),
    () => uptimeS,
  );
  for (let i = 0; i < SENTENCES_PER_SECOND_MAX + 5; i++) log("Refused.", "warning");
  log("It fails.", "error");
  uptimeS = 2.5;
  log("It serves.", "info");
  assert.equal(shown.slice(0, SENTENCES_PER_SECOND_MAX), Array(SENTENCES_PER_SECOND_MAX).fill("warning: Refused."));
  assert.equal(shown.slice(SENTENCES_PER_SECOND_MAX), [
    "error: It fails.",
    "warning: … and 5 more messages of this level.",
    "info: It serves.",
  ]);
});

test.run();
