// Completion knows the commands, no more and no less. bash is everywhere; zsh and fish are asked where they are installed.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const ZPTY = fileURLToPath(new URL("zsh-completions.zsh", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-completion-"));
/** Where the words are completed: what is a file must be seen. */
const here = join(folder, "here");
mkdirSync(join(here, "folder"), { recursive: true });
for (const name of ["trace.pcapng", "folio"]) writeFileSync(join(here, name), "");
test.after(() => rmSync(folder, { recursive: true }));

function run(...words: string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, [command, ...words], { encoding: "utf8" });
  assert.is(stderr, "");
  return stdout;
}

function scriptOf(shell: string, name = shell): string {
  const path = join(folder, name);
  writeFileSync(path, run("completion", shell));
  return path;
}

function isInstalled(shell: string): boolean {
  const { error } = spawnSync(shell, ["-c", "true"]);
  if (error !== undefined) console.log(`${shell} is not installed: its completion is not tried.`);
  return error === undefined;
}

/** Completes the last word of each line; what is offered, sorted. */
type Complete = (lines: readonly string[][]) => string[][];

const optionsOf = (name: string) => {
  const help = run(name, "--help").split(/\nGlobal Options:/)[0] as string;
  return [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option as string).sort();
};
const commands = [...run("--help").matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, name]) => name as string).sort();
/** Lines, and what every shell must offer for their last words. */
const OFFERS: [line: string[], offered: string[]][] = [
  [["tr"], ["trace"]],
  [["trace", "c"], ["cut"]],
  [["trace", "cut", "--o"], ["--output"]],
  [
    ["serve", "--log-format", ""],
    ["journal", "json", "plain"],
  ],
  [["serve", "--metrics", ""], []],
  [["serve", "--runtime-dir", "fol"], ["folder"]],
  [["completion", "b"], ["bash"]],
  [["replay", "tra"], ["trace.pcapng"]],
  [["replay", "--core", "tra"], ["trace.pcapng"]],
  [["serve", "tra"], []],
  [["table", "--leg-failure", "wait", "--log-d"], ["--log-device"]],
  ...["plan", "serve", "conformance"].map((name): [string[], string[]] => [[name, "--"], optionsOf(name)]),
  // Without the command manual, which is for the build.
  [[""], commands],
];

function checkOffers(complete: Complete): void {
  const offered = complete(OFFERS.map(([line]) => line));
  for (const [index, [line, expected]] of OFFERS.entries()) {
    // bash offers options where no word has been begun.
    const words = line.at(-1) === "" ? offered[index]?.filter((word) => !word.startsWith("-")) : offered[index];
    assert.equal(words, expected, line.join(" "));
  }
}

test("bash completes commands, options, choices and files", () => {
  const script = scriptOf("bash");
  const complete = (words: readonly string[]) => {
    const list = words.map((word) => `'${word}'`).join(" ");
    const program = `source ${script}; COMP_WORDS=(dm-ulog ${list}); COMP_CWORD=${words.length}; _dm_ulog; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", program], { encoding: "utf8", cwd: here });
    assert.is(stderr, "");
    return linesOf(stdout);
  };
  checkOffers((lines) => lines.map(complete));
});

test("fish does", () => {
  if (!isInstalled("fish")) return;
  const script = scriptOf("fish");
  const complete = (words: readonly string[]) => {
    const program = `source ${script}; complete -C '${["dm-ulog", ...words].join(" ")}'`;
    // Its own files go into a home of the test.
    const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", program], {
      encoding: "utf8",
      cwd: here,
      env: { ...process.env, HOME: folder },
    });
    assert.is(stderr, "");
    return linesOf(stdout.replace(/\t.*$/gm, "").replace(/\/$/gm, ""));
  };
  checkOffers((lines) => lines.map(complete));
});

test("zsh does, from a folder of completions and sourced", () => {
  if (!isInstalled("zsh")) return;
  scriptOf("zsh", "_dm-ulog");
  const output = join(folder, "offered");
  for (const way of ["autoload", "source"]) {
    checkOffers((lines) => {
      writeFileSync(output, "");
      const typed = lines.map((words) => ["dm-ulog", ...words].join(" "));
      const { stdout, stderr, status } = spawnSync("zsh", ["-f", ZPTY, folder, way, output, ...typed], {
        encoding: "utf8",
        cwd: here,
      });
      assert.equal([status, stderr], [0, ""], stdout);
      return readFileSync(output, "utf8").split("END OF LINE\n").slice(0, lines.length).map(linesOf);
    });
  }
});

function linesOf(text: string): string[] {
  return [...new Set(text.split("\n").filter((line) => line !== ""))].sort();
}

test.run();
