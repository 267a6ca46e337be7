// dm-ulog unit: the systemd unit of a host with the paths of this machine, wherever npm has put the package.

import { readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nativePath, unitPath } from "./installation.ts";

export interface UnitOptions {
  host?: "native" | "node";
}

export function unit({ host }: UnitOptions): void {
  console.log(unitText(host ?? (nativePath() === undefined ? "node" : "native")).trimEnd());
}

/** Throws a sentence where that host is not there. */
export function unitText(host: "native" | "node"): string {
  const text = readFileSync(unitPath(host === "native" ? "dm-ulog.service" : "dm-ulog-node.service"), "utf8");
  if (host === "node") {
    const command = realpathSync(fileURLToPath(new URL("./main.js", import.meta.url)));
    return text.replace(/^(Exec\w+=)\S+/gm, (_line, key: string) => `${key}${process.execPath} ${command}`);
  }
  const program = nativePath();
  if (program === undefined) throw new Error("The native host is not built. Type: npm run build:native");
  return text.replace(/^(Exec\w+=)\S+/gm, (_line, key: string) => `${key}${program}`);
}
