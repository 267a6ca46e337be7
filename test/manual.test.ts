// Manual pages say what the commands are, no more and no less.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dm-ulog-manual-"));
test.after(() => rmSync(folder, { recursive: true }));

function run(...words: string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, [command, ...words], { encoding: "utf8" });
  assert.is(stderr, "");
  return stdout;
}

/** The long options in what a person reads. */
function optionsIn(text: string): string[] {
  return [...new Set(text.match(/--[a-z][a-z-]+(?= |,|$)/gm))].sort();
}

function commandNames(): string[] {
  return [...run("--help").matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, name]) => name as string);
}

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { man: string[] };

test("each command has a page, and the package lists them", () => {
  run("manual", folder);
  const pages = readdirSync(folder).sort();
  assert.equal(
    pages.map((page) => `./dist/man/${page}`),
    manifest.man,
  );
  const named = pages.map((page) => page.replace(/\.\d$/, ""));
  for (const name of commandNames()) if (name !== "help") assert.ok(named.includes(`dm-ulog-${name}`), name);
});

test("a page has what --help has", () => {
  run("manual", folder);
  for (const page of readdirSync(folder)) {
    const text = readFileSync(join(folder, page), "utf8").replaceAll("\\-", "-");
    const name = page.replace(/\.\d$/, "").slice("dm-ulog-".length);
    const words = commandNames().includes(name) ? [name] : name.split("-").filter((word) => word !== "");
    const help = run(...words, "--help").split("\nGlobal Options:")[0] as string;
    const terms = [...text.matchAll(/^\.B (.*)$/gm)].map(([, term]) => term as string).join("\n");
    const optionLines = help.split("\n").filter((line) => /^ {2}-/.test(line));
    assert.equal(optionsIn(terms), optionsIn(optionLines.map((line) => line.slice(0, 40)).join("\n")), page);
    for (const section of ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"])
      assert.match(text, `.SH ${section}\n`);
    assert.not.match(text, /undefined|\[object/);
  }
  assert.match(readFileSync(join(folder, "dm-ulog-doctor.8"), "utf8"), ".SH EXIT STATUS\n0 all is fine");
  assert.match(readFileSync(join(folder, "dm-ulog-table.8"), "utf8"), "\nFor example:\n  line=$(sudo dm");
});

test("what an administrator runs is in section 8, the rest in section 1", () => {
  run("manual", folder);
  const pages = readdirSync(folder);
  const [administration, others] = run("--help").split("\nCommands:") as [string, string];
  const namesIn = (text: string) => [...text.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, name]) => name as string);
  assert.ok(namesIn(administration).includes("serve") && namesIn(others).includes("replay"));
  for (const name of namesIn(administration)) assert.ok(pages.includes(`dm-ulog-${name}.8`), name);
  for (const name of namesIn(others)) if (name !== "help") assert.ok(pages.includes(`dm-ulog-${name}.1`), name);
  for (const page of pages) {
    const text = readFileSync(join(folder, page), "utf8").replaceAll("\\-", "-");
    assert.is(/^\.TH \S+ (\d) /.exec(text)?.[1], page.at(-1));
    // Where a page refers to another, that is there.
    const references = [...text.matchAll(/\b(dm-ulog[a-z-]*)\((\d)\)/g)].map(
      ([, name, section]) => `${name}.${section}`,
    );
    assert.equal(
      references.filter((reference) => !pages.includes(reference)),
      [],
      page,
    );
  }
});

test("groff, where it is installed, has nothing to say against a page", () => {
  run("manual", folder);
  for (const page of readdirSync(folder)) {
    const formatted = spawnSync("groff", ["-man", "-ww", "-Kutf8", "-Tutf8", join(folder, page)], { encoding: "utf8" });
    if (formatted.error === undefined) assert.equal([page, formatted.status, formatted.stderr], [page, 0, ""]);
    // Lines that begin with these would be requests of roff.
    const text = readFileSync(join(folder, page), "utf8");
    assert.ok(
      text.split("\n").every((line) => !/^['.](?!(TH|SH|TP|B|nf|fi)\b)/.test(line)),
      page,
    );
  }
});

test.run();
