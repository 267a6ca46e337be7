/** Mirrors that are changed while they are written to: each change done, and cut off at each of its points. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Point } from "../../../src/cli/change.ts";
import { tryCommand } from "../guest/command.ts";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import { type Lab, MIRRORS_DIRECTORY } from "../guest/lab.ts";
import { LOG_SIZE_SECTORS } from "../guest/log-failure.ts";
import { DISK_MIRROR, type Mirror } from "../guest/mirror.ts";
import { COMMANDS, type Scenario } from "../guest/scenario.ts";

/** Four writes at a time of three regions at the most: what the kernel has not cleared yet when another table takes over is copied. */
const UNDER_WRITES_MAX = 12;
const [A, B, C, D] = DISKS;
const POINTS: readonly Point[] = ["planned", "loaded", "declared", "suspended", "done"];
const GROWN_SECTORS = 16_384;
const MIRROR_TOML = join(MIRRORS_DIRECTORY, "mirror.toml");

type Changes = typeof import("../../../src/cli/changes.ts");

function legsDeclared(): string[] {
  const list = /^legs = (\[.*\])$/m.exec(readFileSync(MIRROR_TOML, "utf8"))?.[1] ?? "";
  return JSON.parse(list) as string[];
}

/** Which legs are behind changes with time. */
function declaredText(): string {
  return readFileSync(MIRROR_TOML, "utf8").replace(/^behind = .*\n/m, "");
}

/** Two logs have room on one disk. */
async function makeLogs(lab: Lab): Promise<[string, string]> {
  const log = (name: string, at: number) => lab.dm.create(name, legTable.plain(D, LOG_SIZE_SECTORS, at));
  return [await log("log-1", 0), await log("log-2", LOG_SIZE_SECTORS)];
}

async function checkLegs(mirror: Mirror): Promise<void> {
  await mirror.waitInSync();
  await mirror.waitFor("every leg alive", ({ health }) => /^A+$/.test(health));
  for (const path of [...legsDeclared(), mirror.path]) assert.deepEqual(await mirror.wrongRegions(path), [], path);
}

const changes: Scenario = {
  name: "changes",
  sentence:
    "replace, add-leg, drop-leg, grow and change-log under load: legs identical, and only what is new is copied.",
  nativeOnly: COMMANDS,
  timeLimitMs: 300_000,
  async run(lab) {
    await lab.server.start();
    const [log1, log2] = await makeLogs(lab);
    const mirror = await lab.declareMirror({ ...DISK_MIRROR, logDevice: log1 });
    await mirror.waitInSync();

    const copied: string[] = [];
    const change = async (words: string[], copiedRegions: number) => {
      const load = lab.keepWriting(mirror);
      const [command = "", ...rest] = words;
      assert.match(await lab.mirrors(command, "mirror", ...rest), /^Done: /m);
      if (command === "grow") mirror.hasGrown(GROWN_SECTORS);
      await mirror.waitFor("in sync", (status) => status.inSyncRegions === status.regionCount);
      const { longestStallMs } = await load.stop();
      await checkLegs(mirror);
      const { resynced } = await lab.server.onlyLog();
      const underWrites = resynced - copiedRegions;
      const what = `${command} copied ${resynced} regions, expected ${copiedRegions}`;
      assert.ok(underWrites >= 0 && underWrites <= UNDER_WRITES_MAX, what);
      copied.push(`${command} ${resynced} regions (stall ${longestStallMs.toFixed(0)} ms)`);
    };
    const all = mirror.regionCount;

    const plan = await lab.mirrors("replace", "mirror", B, C, "--dry-run");
    assert.match(plan, /\/dev\/ubdc is overwritten: 4 MiB are copied, from \/dev\/ubda\./);
    assert.deepEqual(legsDeclared(), [A, B]);
    await change(["replace", B, C], all);
    assert.deepEqual(legsDeclared(), [A, C]);
    await change(["add-leg", B], all);
    assert.deepEqual(legsDeclared(), [A, C, B]);
    // The first leg goes: the others are as good.
    await change(["drop-leg", A], 0);
    assert.deepEqual(legsDeclared(), [C, B]);
    await change(["change-log", log2], all);
    await change(["grow", "--size", `${GROWN_SECTORS}s`], all);

    const refused = async (sentence: RegExp, ...words: string[]) => {
      const [command = "", ...rest] = words;
      const { exitCode, stderr } = await lab.tryMirrors(command, "mirror", ...rest);
      assert.equal(exitCode, 1);
      assert.match(stderr, sentence);
    };
    await refused(/is none of the legs/, "replace", A, D);
    await refused(/a mirror has two at least/, "drop-leg", C);
    await refused(/in use by/, "add-leg", D);
    await refused(/cannot become smaller/, "grow", "--size", "4M");
    assert.match(await lab.mirrors("up", "mirror"), /is up\.\n/);
    lab.note(copied.join(", "));
  },
};

const changesKilled: Scenario = {
  name: "changes-killed",
  isLong: true,
  sentence: "Each change of a mirror, cut off at five points under load: `up` leaves the old mirror or the new one.",
  nativeOnly: COMMANDS,
  timeLimitMs: 420_000,
  async run(lab) {
    await lab.server.start();
    const [log1, log2] = await makeLogs(lab);
    const mirror = await lab.declareMirror({ ...DISK_MIRROR, logDevice: log1 });
    await mirror.waitInSync();
    const load = lab.keepWriting(mirror);

    const path = (file: string) => join(dirname(lab.mainPath), file);
    const here = (await import(path("changes.js"))) as Changes;
    const { bringUp } = (await import(path("mirrors.js"))) as typeof import("../../../src/cli/mirrors.ts");
    const { readDeclared } = (await import(
      path("../node/mirrors/mirror-files.js")
    )) as typeof import("../../../src/node/mirrors/mirror-files.ts");
    const up = () => bringUp(readDeclared(MIRRORS_DIRECTORY, "mirror"));
    const options = { mirrorsDir: MIRRORS_DIRECTORY, force: true };

    /** Ends the program that makes a change at one of its points. */
    const kill = async (name: keyof Changes, args: string[], more: object, point: Point) => {
      const reached = `(point) => { if (point === ${JSON.stringify(point)}) process.kill(process.pid, "SIGKILL"); }`;
      const words = ["mirror", ...args].map((word) => JSON.stringify(word)).join(", ");
      const optionText = `{ ...${JSON.stringify({ ...options, ...more })}, reached: ${reached} }`;
      const code = `const m = await import(${JSON.stringify(path("changes.js"))}); await m.${name}(${words}, ${optionText});`;
      const { exitCode, stderr } = await tryCommand(process.execPath, ["--input-type=module", "-e", code]);
      assert.equal(exitCode, null, `${name} ${point}: ${stderr}`);
    };
    const outcomes: string[] = [];
    const killed = async (name: keyof Changes, args: string[], more: object, undo?: () => Promise<void>) => {
      for (const point of POINTS) {
        const before = declaredText();
        await kill(name, args, more, point);
        const isNew = declaredText() !== before;
        assert.equal(isNew, !["planned", "loaded"].includes(point), `${name} ${point}`);
        const wanted = {
          planned: /is up\./,
          loaded: /is dropped/,
          declared: /cut off/,
          suspended: /cut off/,
          done: /is up\./,
        };
        assert.match(await up(), wanted[point], `${name} ${point}`);
        assert.match(await up(), /is up\./);
        outcomes.push(`${name} ${point}: ${isNew ? "new" : "old"}`);
        if (isNew) await undo?.();
      }
    };
    await killed("replaceLeg", [B, C], {}, () => here.replaceLeg("mirror", C, B, options));
    await killed("addLeg", [C], {}, () => here.dropLeg("mirror", C, options));
    await here.addLeg("mirror", C, options);
    await killed("dropLeg", [C], {}, () => here.addLeg("mirror", C, options));
    await killed("changeLog", [log2], {}, () => here.changeLog("mirror", log1, options));
    let sizeMiB = 4;
    const grow = {
      get size() {
        return `${sizeMiB}M`;
      },
    };
    sizeMiB++;
    await killed("grow", [], grow, async () => {
      sizeMiB++;
    });
    sizeMiB--;
    mirror.hasGrown(sizeMiB * 2048);

    await mirror.waitFor("in sync", (status) => status.inSyncRegions === status.regionCount);
    const { writes, longestStallMs } = await load.stop();
    await checkLegs(mirror);
    lab.note(`${outcomes.length} cut off; ${writes} writes, longest stall ${longestStallMs.toFixed(0)} ms`);
  },
};

export const changeScenarios = [changes, changesKilled];
