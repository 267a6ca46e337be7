// Shell completion, generated from the commands that main.ts defines.

import type { Command } from "commander";
import { bashCompletion } from "./bash.ts";
import { fishCompletion } from "./fish.ts";
import { placesOf } from "./places.ts";
import { zshCompletion } from "./zsh.ts";

const COMPLETIONS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

export type Shell = keyof typeof COMPLETIONS;

/** A script for this shell: the tab key completes commands, options and their values. */
export function completion(program: Command, shell: Shell): string {
  return COMPLETIONS[shell](program.name(), placesOf(program));
}
