// The manual page of dm-ulogd, made of what its --help prints.

import { roff } from "../cli/manual.ts";

/** An option and its words, which go on in lines that are indented further. */
const OPTION = /^ {2}(-\S.*?)(?: {2,}(.*))?$/;

export function nativeManual(help: string, version: string): string {
  const [usage = "", ...rest] = help.trimEnd().split("\n");
  const description: string[] = [];
  const options: { term: string; words: string[] }[] = [];
  for (const line of rest) {
    const [, term, words] = OPTION.exec(line) ?? [];
    if (term !== undefined) options.push({ term, words: words === undefined ? [] : [words] });
    else if (/^ {3,}\S/.test(line)) options.at(-1)?.words.push(line.trim());
    else if (options.length === 0 && line !== "") description.push(line);
  }
  const lines = [
    `.TH DM-ULOGD 8 "" "dm-ulog ${version}" "dm-ulog manual"`,
    ".SH NAME",
    "dm\\-ulogd \\- the native host of dm\\-ulog, which keeps the dirty log of device\\-mapper mirrors",
    ".SH SYNOPSIS",
    roff(usage.replace(/^Usage: /, "")),
    ".SH DESCRIPTION",
    roff(description.join(" ")),
    ".SH OPTIONS",
    ...options.flatMap(({ term, words }) => [".TP", `.B ${roff(term)}`, roff(words.join(" "))]),
    ".SH SEE ALSO",
    "dm\\-ulog\\-serve(8), dm\\-ulog\\-status(8), dm\\-ulog\\-doctor(8), dm\\-ulog(1)",
  ];
  return `${lines.join("\n")}\n`;
}
