// One server for each machine: who holds the lock, living, dead, or dead and unable to leave. On a file of the test's.

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { claimMachine } from "../src/node/state/machine-claim.ts";
import { claimRuntimeDirectory } from "../src/node/state/runtime-directory.ts";
import { startProgram } from "./killed-process.ts";

const folder = mkdtempSync(join(tmpdir(), "dm-ulog-claim-"));
const children: ChildProcess[] = [];

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../src/node/state/${name}.ts`, import.meta.url));
}

/** A process that claims the machine or says why not, and then does what `rest` says. Resolves when it has done so. */
async function claimer(control: string, rest = "setInterval(() => {}, 1000);", directory?: string) {
  const said = join(folder, `said-${children.length}`);
  const child = startProgram(`
    import { writeFileSync, renameSync } from "node:fs";
    import { Worker } from "node:worker_threads";
    import koffi from "koffi";
    import { claimMachine } from ${JSON.stringify(pathOf("machine-claim"))};
    import { claimRuntimeDirectory } from ${JSON.stringify(pathOf("runtime-directory"))};
    let result = "claimed";
    try {
      ${directory === undefined ? "" : `claimRuntimeDirectory(${JSON.stringify(directory)});`}
      result = claimMachine(false, ${JSON.stringify(control)}) ?? result;
    } catch (error) {
      result = error.message;
    }
    const say = () => {
      writeFileSync(${JSON.stringify(`${said}.new`)}, result);
      renameSync(${JSON.stringify(`${said}.new`)}, ${JSON.stringify(said)});
    };
    ${rest.includes("say()") ? rest : `say(); ${rest}`}`);
  children.push(child);
  while (!existsSync(said)) {
    assert.is(child.exitCode, null, "it said something before it ended");
    await sleep(10);
  }
  return { child, result: readFileSync(said, "utf8") };
}

async function end(child: ChildProcess): Promise<void> {
  const closed = once(child, "exit");
  child.kill("SIGKILL");
  await closed;
}

function control(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  chmodSync(path, 0o600);
  return path;
}

test("a second server is refused with the process of the first, unless it is forced, and free when that was killed", async () => {
  const path = control("one");
  const first = await claimer(path);
  assert.is(first.result, "claimed");
  const second = await claimer(path);
  assert.match(
    second.result,
    new RegExp(`^Another dm-ulog serves this machine \\(process ${first.child.pid}\\)\\..*--force$`),
  );
  assert.throws(() => claimMachine(false, path), /Another dm-ulog/);
  await end(first.child);
  const third = await claimer(path);
  assert.is(third.result, "claimed", "the lock ended with its process, and one that was refused has none");
  assert.match(claimMachine(true, path) ?? "", /process \d+\).*told to serve all the same/);
  await end(third.child);
  await end(second.child);
});

test("many that start at once: one serves at most, and not none for ever", async () => {
  const path = control("many");
  const results = await Promise.all(Array.from({ length: 6 }, () => claimer(path)));
  const claimed = results.filter(({ result }) => result === "claimed");
  assert.is(claimed.length, 1, results.map(({ result }) => result).join("\n"));
  await Promise.all(results.map(({ child }) => end(child)));
});

test("a server that was killed and cannot leave, since a thread of it hangs, keeps nobody from serving", async () => {
  const path = control("zombie");
  const directory = join(folder, "run");
  const numbers: Partial<Record<string, number>> = { x64: 60, arm64: 93, riscv64: 93 };
  const exitThread = numbers[process.arch];
  if (exitThread === undefined) return;
  // The main thread ends alone: the process looks like one that was killed, and keeps what it has open.
  const rest =
    `const worker = new Worker("setInterval(() => {}, 1000)", { eval: true });` +
    `worker.on("online", () => { say(); koffi.load(null).func("long syscall(long, int)")(${exitThread}, 0); });`;
  const { child, result } = await claimer(path, rest, directory);
  assert.is(result, "claimed");
  while (!/\) Z /.test(readFileSync(`/proc/${child.pid}/stat`, "utf8"))) await sleep(10);
  const second = await claimer(path, undefined, directory);
  assert.is(second.result, "claimed");
  const third = await claimer(path, undefined, directory);
  assert.match(third.result, new RegExp(`serves this machine already \\(process ${second.child.pid}\\)`));
  const elsewhere = await claimer(path, undefined, join(folder, "run-2"));
  assert.match(elsewhere.result, new RegExp(`Another dm-ulog serves this machine \\(process ${second.child.pid}\\)`));
  assert.is(readFileSync(join(directory, "lock"), "utf8"), `${second.child.pid}\n`);
  for (const one of [child, second.child, third.child, elsewhere.child]) await end(one);
});

test("the runtime directory of the first was deleted: the second is refused all the same", async () => {
  const path = control("deleted");
  const directory = join(folder, "gone");
  const first = await claimer(path, undefined, directory);
  rmSync(directory, { recursive: true });
  assert.equal(claimRuntimeDirectory(directory), []);
  assert.throws(() => claimMachine(false, path), /Another dm-ulog/);
  await end(first.child);
});

test("without device-mapper's control node it is said what cannot be seen", () => {
  assert.match(
    claimMachine(false, join(folder, "none")) ?? "",
    /cannot be seen, since .*none cannot be opened \(ENOENT\)/,
  );
});

test.after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

test.run();
