// What may stand where on the command line: what the completions of all shells are made of.

import type { Argument, Command, Option } from "commander";

/** The words behind which something may stand: the program's own place has none, that of `dm-ulog trace cut` has two. */
export interface Place {
  words: readonly string[];
  children: readonly { name: string; description: string }[];
  options: readonly PlacedOption[];
  /** One for each argument, in their order. */
  operands: readonly { name: string; isVariadic: boolean; offer: Offer }[];
}

export interface PlacedOption {
  /** Such as `-o` and `--output`. */
  names: readonly string[];
  description: string;
  value: "none" | "optional" | "required";
  isVariadic: boolean;
  offer: Offer;
}

/** What is offered for a value: these words, names of files, names of directories, or nothing. */
export type Offer = readonly string[] | "files" | "directories";

const FILES = /<(file|device)>/;
/** Arguments that are no files. */
const NO_FILES = /^(uuid|names?|mirrors?)$/;

/** Of the program and of all its commands, in the order of its help. */
export function placesOf(program: Command): Place[] {
  const below = (command: Command, words: readonly string[]): Place[] => {
    const help = command.createHelp();
    const children = help.visibleCommands(command);
    const place: Place = {
      words,
      children: children.map((child) => ({ name: child.name(), description: child.description() })),
      options: help.visibleOptions(command).map(placed),
      operands: command.registeredArguments.map(operandOf),
    };
    const named = children.filter((child) => child.name() !== "help");
    return [place, ...named.flatMap((child) => below(child, [...words, child.name()]))];
  };
  return below(program, []);
}

function placed(option: Option): PlacedOption {
  const { short, long, flags, description, required, optional, variadic, argChoices } = option;
  return {
    names: [short, long].filter((name) => name !== undefined),
    description,
    value: required ? "required" : optional ? "optional" : "none",
    isVariadic: variadic,
    offer: argChoices ?? (/<directory>/.test(flags) ? "directories" : FILES.test(flags) ? "files" : []),
  };
}

function operandOf(argument: Argument): Place["operands"][number] {
  const name = argument.name();
  return { name, isVariadic: argument.variadic, offer: argument.argChoices ?? (NO_FILES.test(name) ? [] : "files") };
}

/** A word that every shell takes as it is. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A name for a function of a shell: `_dm_ulog_trace_cut`. */
export function functionName(words: readonly string[]): string {
  return `_${words.join("_").replaceAll("-", "_")}`;
}
