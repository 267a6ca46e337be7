// Makes dist/dm-ulog.h: the ABI of the core for hosts written in C.
//
// Values are those that the built module exports; names, their order and what is said of them come from the sources
// that index.ts exports again. So nothing is typed twice, and an exported number that no source explains is an error.

import { readFileSync, writeFileSync } from "node:fs";
import ts from "typescript";

const PREFIX = "DM_ULOG_";
/** What C calls the types of AssemblyScript, and how it ends a number of each. */
const C_TYPES: Record<string, { type: string; suffix: string } | undefined> = {
  u32: { type: "uint32_t", suffix: "u" },
  usize: { type: "uint32_t", suffix: "u" },
  i32: { type: "int32_t", suffix: "" },
};

const folder = new URL("./", import.meta.url);
const dist = new URL("../dist/", folder);

const wasm = readFileSync(new URL("dm-ulog.wasm", dist));
const values = new WebAssembly.Instance(new WebAssembly.Module(wasm), {}).exports as Record<string, { value?: number }>;
/** Exported numbers that are still to be found. What the compiler adds for its own runtime begins with two underscores. */
const unexplained = new Set(
  Object.keys(values).filter((name) => values[name]?.value !== undefined && !name.startsWith("__")),
);
/** Codes of notices. The offsets of their fields begin in the same way and have another type. */
const notices: string[] = [];

function parse(path: string): ts.SourceFile {
  const text = readFileSync(new URL(`${path}.ts`, folder), "utf8");
  return ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
}

/** What a source says at its top, as lines without their slashes. */
function opening(source: ts.SourceFile): string[] {
  const lines = source.text.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("//"));
  return lines.slice(0, end).map((line) => line.slice(2));
}

/** The documentation before a declaration as a C comment, after a blank line where the source has one. */
function wordsBefore(source: ts.SourceFile, statement: ts.Statement): string {
  const trivia = source.text.slice(statement.pos, statement.getStart());
  const comment = trivia.indexOf("/**");
  const blank = trivia.startsWith("\n\n") ? "\n" : "";
  return comment < 0 ? blank : `${blank}${trivia.slice(comment).trimEnd().replace("/**", "/*")}\n`;
}

/** The comment on a declaration's own line. */
function wordsBehind(source: ts.SourceFile, statement: ts.Statement): string {
  const [range] = ts.getTrailingCommentRanges(source.text, statement.end) ?? [];
  return range === undefined ? "" : ` /* ${source.text.slice(range.pos + 2, range.end).trim()} */`;
}

/** Definitions of the numbers that a source exports, or of the given names alone. */
function constants(source: ts.SourceFile, names?: ReadonlySet<string>): string {
  let text = "";
  for (const statement of source.statements.filter(ts.isVariableStatement)) {
    for (const declaration of statement.declarationList.declarations) {
      const name = declaration.name.getText();
      const value = values[name]?.value;
      const type = declaration.type?.getText() ?? "";
      if (value === undefined || !(names?.has(name) ?? true)) continue;
      const suffix = C_TYPES[type]?.suffix;
      if (suffix === undefined) throw new Error(`${name} has a type that C_TYPES does not know: "${type}"`);
      const definition = `#define ${PREFIX}${name} ${value}${suffix}`;
      text += `${wordsBefore(source, statement)}${definition}${wordsBehind(source, statement)}\n`;
      unexplained.delete(name);
      if (name.startsWith("NOTICE_") && type === "u32") notices.push(name);
    }
  }
  return text;
}

/** Names of functions that a host calls with nothing but numbers. The console's others are called by as-bind. */
function functions(source: ts.SourceFile, names: ReadonlySet<string>): string {
  let text = "";
  for (const statement of source.statements.filter(ts.isFunctionDeclaration)) {
    const name = statement.name?.text ?? "";
    const result = C_TYPES[statement.type?.getText() ?? ""]?.type;
    if (!names.has(name) || result === undefined || statement.parameters.length > 0) continue;
    const macro = `${PREFIX}FUNCTION_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`;
    text += `${wordsBefore(source, statement)}#define ${macro} "${name}" /* ${result} ${name}(void) */\n`;
  }
  return text;
}

/** What a file exports of others, in its order; without names it is everything. */
function exportsAgain(path: string): { source: ts.SourceFile; names: Set<string> | undefined }[] {
  return parse(path)
    .statements.filter(ts.isExportDeclaration)
    .map(({ moduleSpecifier, exportClause }) => {
      const named = exportClause !== undefined && ts.isNamedExports(exportClause) ? exportClause.elements : undefined;
      const names = named && new Set(named.map(({ name }) => name.text));
      return { source: parse((moduleSpecifier as ts.StringLiteral).text), names };
    });
}

function section(title: string, words: readonly string[], body: string): string {
  const lines = [`---- ${title}`, ...(words.length > 0 ? ["", ...words] : [])];
  return `\n/*\n${lines.map((line) => ` *${line === "" || line.startsWith(" ") ? line : ` ${line}`}`).join("\n")}\n */\n\n${body.trimStart()}`;
}

let called = "";
let tables = "";
for (const { source, names } of exportsAgain("./index")) {
  if (names !== undefined) {
    called += functions(source, names);
    continue;
  }
  const more = exportsAgain(source.fileName).map(({ source, names }) => constants(source, names));
  tables += section(`assembly/${source.fileName}.ts`, opening(source), constants(source) + more.join(""));
}
if (unexplained.size > 0) throw new Error(`Exported, and found in no source: ${[...unexplained].join(", ")}`);

const words = (notice: string) => notice.replace("NOTICE_", "").replaceAll("_", " ").toLowerCase();
writeFileSync(
  new URL("dm-ulog.h", dist),
  `/*
 * The ABI of dm-ulog.wasm for hosts written in C. Made from the module by npm run build: do not edit.
 *
 * The module imports nothing. How a host drives it, who may touch what and when, and a request from its first byte to its
 * reply stand in assembly/README.md. Linear memory is little endian; addresses in it have 32 bits.
 */
#ifndef DM_ULOG_H
#define DM_ULOG_H
${section("Functions that the module exports, by name", [], called)}
/* The export that is linear memory. */
#define ${PREFIX}MEMORY "memory"
${tables}
/* X(code, words) for each notice, for hosts to which the console with its sentences is too much. */
#define ${PREFIX}NOTICES(X) \\
${notices.map((name) => `  X(${PREFIX}${name}, "${words(name)}")`).join(" \\\n")}

#endif
`,
);
