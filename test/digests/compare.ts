// Where digests of the same traces by several engines part.

import type { Digests } from "./digest-of.ts";

/** For each trace whose digest is not the same in all engines, or missing in one: its name and what each engine says. */
export function differences(names: readonly string[], found: ReadonlyMap<string, Digests>): string[] {
  return names.flatMap((name) => {
    const said = [...found].map(([engine, digests]) => [engine, digests[name] ?? "nothing"] as const);
    const isEqual = new Set(said.map(([, digest]) => digest)).size === 1 && isDigest(said[0]?.[1]);
    return isEqual ? [] : [`${name}: ${said.map(([engine, digest]) => `${engine} ${digest}`).join(", ")}`];
  });
}

export const isDigest = (text: string | undefined): boolean => /^[0-9a-f]{16}$/.test(text ?? "");
