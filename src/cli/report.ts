// dm-ulog report: what a bug report needs, in one file, and in words what is in it.

import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { printable } from "../common/printable.ts";
import { type Part, partsOf, type ReportPlaces } from "./report-parts.ts";
import { formatBytes } from "./sizes.ts";
import { type TarFile, tarOf } from "./tar.ts";
import { textTable } from "./text-table.ts";

const WHAT_IS_IN_IT =
  "It holds names of mirrors and devices (with serial numbers, where those are in names), paths, command lines of servers and lines of\n" +
  "logs, and which regions of mirrors were written when. It holds nothing of the data on the mirrors.";

interface MadePart {
  part: Part;
  content: Uint8Array | undefined;
  /** Why there is no content. */
  missing: string;
}

/** Writes the file, which must not exist yet. Throws a sentence where it cannot be written. */
export async function report(file: string | undefined, places: ReportPlaces, now = new Date()): Promise<void> {
  const folder = `dm-ulog-report-${now.toISOString().slice(0, 19).replace(/[-:]/g, "")}`;
  const path = file ?? `${folder}.tar.gz`;
  const made = await Promise.all(partsOf(places).map(make));
  const contents = `${contentsText(made)}\n\n${WHAT_IS_IN_IT}\n`;
  const files: TarFile[] = [
    { name: `${folder}/contents.txt`, content: Buffer.from(contents) },
    ...made.flatMap(({ part, content }) => (content === undefined ? [] : { name: `${folder}/${part.name}`, content })),
  ];
  try {
    writeFileSync(path, gzipSync(tarOf(files, now)), { mode: 0o600, flag: "wx" });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") throw new Error(`There is a file ${path} already. Name another one: dm-ulog report FILE`);
    throw new Error(`The report cannot be written: ${message}. Name another file: dm-ulog report FILE`);
  }
  console.log(contents);
  console.log(`The report is ${path}. To look into it before you send it: tar -xzf ${path}`);
}

async function make(part: Part): Promise<MadePart> {
  try {
    const content = await part.make();
    return { part, content: typeof content === "string" ? Buffer.from(content) : content, missing: "" };
  } catch (error) {
    return { part, content: undefined, missing: (error as Error).message };
  }
}

function contentsText(made: readonly MadePart[]): string {
  const there = made.flatMap(({ part, content }) =>
    content === undefined ? [] : [[part.name, formatBytes(content.length), part.what].map(printable)],
  );
  const missing = made.flatMap(({ part, content, missing: why }) =>
    content === undefined ? [[part.name, why.replaceAll("\n", " ")].map(printable)] : [],
  );
  return [
    textTable(["part", "size", "what it is"], there),
    ...(missing.length === 0 ? [] : ["", textTable(["missing", "why"], missing)]),
  ].join("\n");
}
