// Which commands are an administrator's: --help lists them together, and their manual pages are in section 8.

import type { Command } from "commander";

/** The heading of their group in --help. */
export const ADMINISTRATION = "Commands for an administrator:";

/** The section of the manual that this command, or one below it, has its page in. */
export function sectionOf(command: Command): 1 | 8 {
  const { parent } = command;
  if (parent === null) return 1;
  return command.helpGroup() === ADMINISTRATION ? 8 : parent.parent === null ? 1 : sectionOf(parent);
}
