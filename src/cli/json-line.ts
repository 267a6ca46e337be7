// Objects for programs, one on a line.

import { toJson } from "../common/json.ts";

/** JSON without any character that a terminal might obey: names in a trace are what somebody has chosen. */
export function jsonLine(object: object): string {
  return toJson(object).replace(/[\x7f-\x9f]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`);
}
