// Manual pages, generated from the commands that main.ts defines. They say what --help says.

import type { EventEmitter } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { sectionOf } from "./manual-sections.ts";

export interface ManualPage {
  /** Such as `dm-ulog-serve.8`. */
  file: string;
  text: string;
}

/** Writes a page for each command into a folder, which is created if necessary. */
export function writeManual(program: Command, version: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const { file, text } of manualPages(program, version)) writeFileSync(join(folder, file), text);
}

/** A page for the program, and one for each of its commands and their subcommands. */
export function manualPages(program: Command, version: string): ManualPage[] {
  return commandsOf(program).map((path) => ({
    file: `${nameOf(path)}.${sectionOf(commandOf(path))}`,
    text: pageOf(path, version),
  }));
}

/** A command with its parents, the program first. */
type Path = readonly [Command, ...Command[]];

function commandsOf(program: Command): Path[] {
  const below = (path: Path): Path[] => [path, ...childrenOf(path).flatMap(below)];
  return below([program]);
}

/** Without `help`, which is in every page anyway. */
function childrenOf(path: Path): Path[] {
  const command = commandOf(path);
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((child) => child.name() !== "help")
    .map((child) => [...path, child]);
}

function commandOf(path: Path): Command {
  return path[path.length - 1] as Command;
}

function nameOf(path: Path): string {
  return path.map((command) => command.name()).join("-");
}

/** Such as `dm-ulog-serve(8)`. */
function referenceTo(path: Path): string {
  return `${nameOf(path)}(${sectionOf(commandOf(path))})`;
}

function pageOf(path: Path, version: string): string {
  const command = commandOf(path);
  const help = command.createHelp();
  const name = nameOf(path);
  const lines = [
    `.TH ${name.toUpperCase()} ${sectionOf(command)} "" "dm-ulog ${version}" "dm-ulog manual"`,
    ".SH NAME",
    `${roff(name)} \\- ${roff(command.description().replace(/\.( .*)?$/, ""))}`,
    ".SH SYNOPSIS",
    roff(help.commandUsage(command)),
    ".SH DESCRIPTION",
    roff(command.description()),
  ];
  const section = (title: string, entries: [string, string][]) => {
    if (entries.length === 0) return;
    lines.push(`.SH ${title}`);
    for (const [term, words] of entries) lines.push(".TP", `.B ${roff(term)}`, roff(words));
  };
  const ofChild = (child: Path): [string, string] => [referenceTo(child), commandOf(child).description()];
  section(
    "ARGUMENTS",
    help.visibleArguments(command).map((one) => [help.argumentTerm(one), help.argumentDescription(one)]),
  );
  section(
    "OPTIONS",
    help.visibleOptions(command).map((one) => [help.optionTerm(one), help.optionDescription(one)]),
  );
  section("COMMANDS", childrenOf(path).map(ofChild));
  lines.push(...notesOf(command));
  const others = path.length > 1 ? [path.slice(0, -1) as unknown as Path] : childrenOf(path);
  if (others.length > 0) lines.push(".SH SEE ALSO", roff(others.map(referenceTo).join(", ")));
  return `${lines.join("\n")}\n`;
}

/** The text that `addHelpText` puts after the help, unchanged. */
function notesOf(command: Command): string[] {
  let text = "";
  // Commander's types do not say so, but its commands are emitters, and commander collects this text in the same way.
  const emitter = command as unknown as EventEmitter;
  emitter.emit("afterHelp", {
    error: false,
    command,
    write: (words: string) => {
      text += words;
    },
  });
  if (text.trim() === "") return [];
  const [first = "", ...rest] = text.trim().split("\n");
  const status = /^Exit status: /.exec(first);
  if (status !== null) return [".SH EXIT STATUS", roff([first.slice(status[0].length), ...rest].join(" "))];
  return [".SH NOTES", ".nf", ...[first, ...rest].map(roff), ".fi"];
}

/** Text for roff: no requests, no escapes, and hyphens that can be copied and pasted. */
export function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}
