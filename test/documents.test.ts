// What READMEs and documents name exists: files of the repository, npm scripts, commands of dm-ulog and their options.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const REPOSITORY = fileURLToPath(new URL("..", import.meta.url));
/** Folders that are made, or hold what others have written. */
const NOT_OURS = new Set(["node_modules", ".git"]);
const MADE = /^dist\//;
/** What `npm run build` does not make. */
const MADE_ELSEWHERE = /^dist\/(api|appliance|browser|deb|native)(\/|$)/;
/** A header of the kernel. */
const NO_FILES = new Set(["dm-log-userspace.h"]);
const ENDINGS = /\.(ts|js|c|h|md|json|lua|wasm|pcapng|service|socket|timer|sh|html|css|txt|png)$/;

const files = filesUnder("");
const documents = files.filter((file) => file.endsWith(".md") && !MADE.test(file));
const manifest = JSON.parse(read("package.json")) as {
  scripts: Record<string, string>;
  exports: Record<string, unknown>;
};

function filesUnder(folder: string): string[] {
  return readdirSync(join(REPOSITORY, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (NOT_OURS.has(entry.name)) return [];
    return entry.isDirectory() ? [`${path}/`, ...filesUnder(path)] : [path];
  });
}

function read(file: string): string {
  return readFileSync(join(REPOSITORY, file), "utf8");
}

/** The code in a document: each span, and each line of a block. */
function codeOf(text: string): string[] {
  const code: string[] = [];
  const prose = text.replace(/^```[a-z]*\n(.*?)^```$/gms, (_, block: string) => {
    code.push(...block.split("\n"));
    return "";
  });
  for (const [, span] of prose.matchAll(/`([^`]+)`/g)) code.push((span as string).replaceAll("\n", " "));
  return code;
}

/** The manual page of a command, by its words such as `trace cut`; undefined if there is no such command. */
function helpOf(words: string): string | undefined {
  const page = files.find((file) => pageOf(words).test(file));
  return page === undefined ? undefined : read(page).replaceAll("\\-", "-");
}

/** Made of the same definitions as --help, by the build. */
function pageOf(words: string): RegExp {
  return new RegExp(`^dist/man/dm-ulog-${words.replace(" ", "-")}\\.\\d$`);
}

/** What is wrong with the names in a document, in sentences. */
function mistakesIn(file: string, text: string): string[] {
  return codeOf(text).flatMap((code) => [
    ...(isPath(code) && !exists(file, code) ? [`${file}: there is no file ${code}`] : []),
    ...scriptMistakes(code).map((mistake) => `${file}: ${mistake}`),
    ...commandMistakes(code).map((mistake) => `${file}: ${mistake}`),
  ]);
}

function isPath(code: string): boolean {
  if (!/^[\w.-]+(\/[\w.-]+)*\/?$/.test(code) || NO_FILES.has(code)) return false;
  return (
    (/\w\.\w+$/.test(code) && ENDINGS.test(code)) ||
    (code.includes("/") && /^(assembly|bench|docs|src|systemd|test|dist)\//.test(code))
  );
}

/** As seen from the document's folder or from the top, or as the package exports it; a bare name may stand in any folder. */
function exists(file: string, path: string): boolean {
  if (MADE_ELSEWHERE.test(path)) return true;
  if (path.startsWith("dm-ulog/")) return manifest.exports[path.replace("dm-ulog", ".")] !== undefined;
  const known = new Set(files);
  const has = (one: string) => known.has(one) || known.has(`${one}/`);
  return has(normalize(join(dirname(file), path))) || has(path) || files.some((one) => one.endsWith(`/${path}`));
}

function scriptMistakes(code: string): string[] {
  return [...code.matchAll(/npm run ([a-z][a-z:-]*)/g)].flatMap(([, name]) =>
    manifest.scripts[name as string] === undefined ? [`there is no script: npm run ${name}`] : [],
  );
}

/** A command is named by `dm-ulog NAME`, by `npm run sim --`, or by NAME with an option. */
function commandMistakes(code: string): string[] {
  return code.split(/\||&&|;|#|\$\(/).flatMap((part) => {
    const named = /(?:^|[\s/])dm-ulog ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+))?(.*)$/.exec(part);
    const short = /^([a-z]+(?:-[a-z]+)*)(?: ([a-z]+))?( .*--.*)$/.exec(part.trim());
    const simulated = /npm run sim --( .*)$/.exec(part);
    if (simulated !== null) return optionMistakes("simulate", simulated[1] as string);
    const native = /(?:^|[\s/])dm-ulogd( .*)$/.exec(part);
    if (native !== null) return nativeMistakes(native[1] as string);
    const [, name = "", second = "", rest = ""] = named ?? (short !== null && helpOf(short[1] as string) ? short : []);
    if (name === "") return [];
    if (helpOf(name) === undefined) return [`there is no command: dm-ulog ${name}`];
    const isGroup = files.some((file) => file.startsWith(`dist/man/dm-ulog-${name}-`));
    if (isGroup && second !== "" && helpOf(`${name} ${second}`) === undefined)
      return [`there is no command: dm-ulog ${name} ${second}`];
    return optionMistakes(isGroup && second !== "" ? `${name} ${second}` : name, rest);
  });
}

/** The native host knows an option by its name as a string. */
const nativeSources = files
  .filter((file) => /^src\/native\/[^/]+\.[ch]$/.test(file))
  .map(read)
  .join("");
function nativeMistakes(rest: string): string[] {
  return [...rest.matchAll(/(?<=\s)--([a-z][a-z-]*)/g)].flatMap(([option, name]) =>
    nativeSources.includes(`"${name}"`) || nativeSources.includes(`"${option}"`)
      ? []
      : [`dm-ulogd has no option ${option}`],
  );
}

function optionMistakes(command: string, rest: string): string[] {
  const help = helpOf(command) as string;
  return [...rest.matchAll(/(?<=\s)--[a-z][a-z-]*/g)].flatMap(([option]) =>
    new RegExp(`${option}(?![a-z-])`).test(help) ? [] : [`dm-ulog ${command} has no option ${option}`],
  );
}

test("what documents name exists", () => {
  assert.ok(documents.length > 15, `${documents.length} documents`);
  assert.equal(
    documents.flatMap((file) => mistakesIn(file, read(file))),
    [],
  );
});

test("what is stale is found", () => {
  const mistakes = (text: string) =>
    mistakesIn("src/common/trace/README.md", text).map((one) => one.replace(/^.*?: /, ""));
  assert.equal(
    mistakes(
      "`trace.ts`, `src/cli/main.ts`, `npm run build:man`, `dm-ulog trace cut FILE --from 3:1`, `serve --record`",
    ),
    [],
  );
  assert.equal(mistakes("See `tracing.ts`."), ["there is no file tracing.ts"]);
  assert.equal(mistakes("`src/common/tracing/`"), ["there is no file src/common/tracing/"]);
  assert.equal(mistakes("`npm run builds`"), ["there is no script: npm run builds"]);
  assert.equal(mistakes("```sh\nsudo dm-ulog observe FILE\n```"), ["there is no command: dm-ulog observe"]);
  assert.equal(mistakes("`dm-ulog trace split`"), ["there is no command: dm-ulog trace split"]);
  assert.equal(mistakes("`sudo dm-ulog serve --records`"), ["dm-ulog serve has no option --records"]);
  assert.equal(mistakes("`record --end FILE`"), ["dm-ulog record has no option --end"]);
  assert.equal(mistakes("`dm-ulogd --quietly`"), ["dm-ulogd has no option --quietly"]);
  assert.equal(mistakes("`npm run sim -- --seeds 3 --speed 1`"), ["dm-ulog simulate has no option --speed"]);
});

test.run();
