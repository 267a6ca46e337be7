// dm-ulog unit: the systemd units with the paths of this machine, wherever npm has put the package.

import { readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nativePath, unitPath } from "./installation.ts";
import { MIRROR_UNIT, MONITOR_UNIT } from "./mirror-units.ts";

export interface UnitOptions {
  host?: "native" | "node";
  mirrors?: boolean;
  monitor?: boolean;
}

export function unit({ host, mirrors, monitor }: UnitOptions): void {
  const asked = [mirrors === true, monitor === true, host !== undefined].filter((isAsked) => isAsked);
  if (asked.length > 1) {
    throw new Error(
      "Give one of --host, for the server's unit, --mirrors and --monitor: the last two are the same with both hosts.",
    );
  }
  const server = () => unitText(host ?? (nativePath() === undefined ? "node" : "native"));
  const text = mirrors === true ? mirrorUnitText() : monitor === true ? monitorUnitText() : server();
  console.log(text.trimEnd());
}

/** The server's. Throws a sentence where that host is not there. */
export function unitText(host: "native" | "node"): string {
  if (host === "node") return withProgram("dm-ulog-node.service", thisCommand());
  const program = nativePath();
  if (program === undefined) throw new Error("The native host is not built. Type: npm run build:native");
  return withProgram("dm-ulog.service", program);
}

/** The template of the units that bring mirrors up. */
export function mirrorUnitText(): string {
  return withProgram(MIRROR_UNIT, thisCommand());
}

/** The monitor's. */
export function monitorUnitText(): string {
  return withProgram(MONITOR_UNIT, thisCommand());
}

function thisCommand(): string {
  return `${process.execPath} ${realpathSync(fileURLToPath(new URL("./main.js", import.meta.url)))}`;
}

function withProgram(unit: string, program: string): string {
  const text = readFileSync(unitPath(unit), "utf8");
  return text.replace(/^(Exec\w+=)\S+/gm, (_line, key: string) => `${key}${program}`);
}
