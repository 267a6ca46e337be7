// Each leg of a mirror holds the file system that the mirror holds, with the same UUID and label. udev would link /dev/disk/by-uuid to
// whichever of the three it sees first, and at boot that is a leg: a mount by UUID= would write to one leg behind the mirror's back, and LVM
// and md would take it for theirs. So udev's rules say which devices are legs: a leg keeps its other links, and counts as a part of
// something larger, as a disk of an md array does.
//
// The rules stand behind 60-persistent-storage.rules and 60-persistent-storage-dm.rules, which make those links, and before those of md
// (64), btrfs (64) and LVM (69), which act on ID_FS_TYPE. Source: udev(7), systemd's rules.d.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { outputOf } from "../limited-command.ts";
import { LEG_OFFSET } from "./mirror-file.ts";
import {
  type DeclaredMirror,
  declaredNames,
  MIRRORS_DIRECTORY_DEFAULT,
  readDeclared,
  writeDeclared,
} from "./mirror-files.ts";

/** Where things are. A test has its own. */
export const THIS_UDEV = {
  mirrorsDir: MIRRORS_DIRECTORY_DEFAULT,
  whereUdevRuns: "/run/udev/control",
  rules: "/etc/udev/rules.d/61-dm-ulog-legs.rules",
};

/** What a leg says in place of its file system's type. */
const LEG_TYPE = "dm_ulog_leg";
const COMMAND_LIMIT_MS = 30_000;
/** What udev takes for a pattern, or for the end of a name. */
const SPECIAL = /["\\*?[\]|]/;

/** Has udev tell the legs of all declared mirrors apart from what they hold. Returns a sentence where that failed. */
export async function keepLegRules(mirrorsDir: string, udev = THIS_UDEV): Promise<string | undefined> {
  if (mirrorsDir !== udev.mirrorsDir || !existsSync(udev.whereUdevRuns)) return undefined;
  try {
    const mirrors = declaredNames(mirrorsDir).flatMap((name) => declaredMirror(mirrorsDir, name));
    const before = existsSync(udev.rules) ? readFileSync(udev.rules, "utf8") : "";
    const after = legRules(mirrors);
    if (after === before) return undefined;
    if (after === "") rmSync(udev.rules);
    else writeDeclared(udev.rules, after);
    const changed = changedLegs(before, after).filter((leg) => existsSync(leg));
    await outputOf("udevadm", ["control", "--reload"], COMMAND_LIMIT_MS);
    if (changed.length > 0) await outputOf("udevadm", ["trigger", "--settle", ...changed], COMMAND_LIMIT_MS);
    return undefined;
  } catch (error) {
    return `udev does not know which devices are legs of mirrors, so none may be mounted by UUID= or LABEL=: ${(error as Error).message}`;
  }
}

/** Whoever cannot read a mirror's file has been told of it elsewhere, and the others need their rules. */
function declaredMirror(mirrorsDir: string, name: string): DeclaredMirror[] {
  try {
    return [readDeclared(mirrorsDir, name)];
  } catch {
    return [];
  }
}

/** The rules, or an empty text where there is no leg. Legs that are no device of a name, or have an odd one, are left out. */
export function legRules(mirrors: readonly DeclaredMirror[]): string {
  const matches = mirrors.flatMap(({ name, mirror }) => mirror.legs.flatMap((leg) => matchOf(leg, name)));
  if (matches.length === 0) return "";
  return `# Written by dm-ulog from the mirrors in ${MIRRORS_DIRECTORY_DEFAULT}. What you write here is lost.
# A leg holds what its mirror holds. It is not to be found by that.
ACTION=="remove", GOTO="dm_ulog_end"
SUBSYSTEM!="block", GOTO="dm_ulog_end"
${matches.join("\n")}
ENV{DM_ULOG_LEG_OF}!="?*", GOTO="dm_ulog_end"
ENV{ID_FS_TYPE}=="?*", ENV{ID_FS_TYPE}="${LEG_TYPE}", ENV{ID_FS_USAGE}="raid"
ENV{UDISKS_IGNORE}="1"
PROGRAM="/bin/sh -c 'for link in $links; do case $$link in disk/by-uuid/*|disk/by-label/*) ;; *) echo $$link;; esac; done'", SYMLINK="%c"
LABEL="dm_ulog_end"
`;
}

/** What looks like an offset behind the name may be a part of it. */
function matchOf(leg: string, mirror: string): string[] {
  return [...new Set([leg, leg.replace(LEG_OFFSET, "")])].flatMap((path) => {
    const name = /^\/dev\/(.+)$/.exec(path)?.[1];
    if (name === undefined || SPECIAL.test(name)) return [];
    return ["KERNEL", "SYMLINK"].map((key) => `${key}=="${name}", ENV{DM_ULOG_LEG_OF}="${mirror}"`);
  });
}

/** Legs whose rules are in one of two texts only. */
function changedLegs(before: string, after: string): string[] {
  const [old, fresh] = [before, after].map((text) => new Set(text.match(/^KERNEL=="[^"]+"/gm) ?? []));
  const differing = [...(old ?? [])]
    .filter((one) => !fresh?.has(one))
    .concat([...(fresh ?? [])].filter((one) => !old?.has(one)));
  return differing.map((match) => `/dev/${match.slice('KERNEL=="'.length, -1)}`);
}
