// The file that declares a mirror, /etc/dm-ulog/mirrors.d/NAME.toml: what a person writes, and what `dm-ulog create` writes.
// Keys are the options of `dm-ulog table`, so that each thing has one name. A file is taken as a whole or refused with the line and the
// column of every fault: a mirror that was half understood could be resynced in the wrong direction.
//
// The words sync and nosync have no place here. They are true of one moment, and a file is read at every boot.

import type { AST } from "toml-eslint-parser";
import { getStaticTOMLValue, ParseError, parseTOML } from "toml-eslint-parser";

export const LEG_FAILURES = ["continue", "wait", "ignore"] as const;
/** Where a mirror begins on a leg, behind its name. It has its unit: names in /dev/disk/by-path may end in a colon and a number. */
export const LEG_OFFSET = /:[0-9]+[skmgt]$/i;
export const LOG_FAILURES = ["tell", "reopen", "memory"] as const;

/** A mirror as its file has it. Sizes are texts as `dm-ulog table` takes them. */
export interface MirrorFile {
  /** Of its log. */
  uuid: string;
  /** First the one to copy from. An offset may follow a name: `/dev/sda:2048s`. */
  legs: string[];
  size: string;
  regionSize: string;
  logDevice: string | undefined;
  logType: string | undefined;
  /**
   * Legs that the log on the device knows: it would call any other one in sync. dm-ulog writes this itself. Undefined for a log in memory,
   * and where a person has written the file: then it knows all.
   */
  logLegs: string[] | undefined;
  legFailure: (typeof LEG_FAILURES)[number];
  integratedFlush: boolean;
  blockOnError: boolean;
  /** Devices that may be overwritten to take the place of a leg that failed, in this order. */
  spares: string[];
  /**
   * Legs that may hold older data than the others: new ones, and those that failed. They are copied to, never from, until the mirror is in
   * sync. dm-ulog writes this itself: nothing on a leg says it, and after a boot every leg looks alike.
   */
  behind: string[];
  /** Whether a leg that failed and is there again is copied what it missed. */
  takeBack: boolean;
  /** What to do when the log device fails: tell alone, open it again, or else go on with a log in memory. */
  logFailure: (typeof LOG_FAILURES)[number];
  /** Told of each event, with the event and the mirror's name as its arguments. */
  program: string | undefined;
}

/** Where a fault stands, counted from 1. */
interface Place {
  line: number;
  column: number;
}

type Kind = "text" | "texts" | "switch" | readonly string[];

interface Key {
  kind: Kind;
  /** What stands in the file, where the key is not there; undefined: the key must be there; null: nothing. */
  without: unknown;
}

const DEFAULTS = {
  "region-size": "512K",
  "leg-failure": "continue",
  "integrated-flush": true,
  "block-on-error": false,
  "take-back": true,
  "log-failure": "reopen",
} as const;

const KEYS: Record<string, Key> = {
  uuid: { kind: "text", without: undefined },
  legs: { kind: "texts", without: undefined },
  size: { kind: "text", without: undefined },
  "region-size": { kind: "text", without: DEFAULTS["region-size"] },
  "log-device": { kind: "text", without: null },
  "log-type": { kind: "text", without: null },
  "log-legs": { kind: "texts", without: null },
  "leg-failure": { kind: LEG_FAILURES, without: DEFAULTS["leg-failure"] },
  "integrated-flush": { kind: "switch", without: DEFAULTS["integrated-flush"] },
  "block-on-error": { kind: "switch", without: DEFAULTS["block-on-error"] },
  spares: { kind: "texts", without: [] },
  behind: { kind: "texts", without: [] },
  "take-back": { kind: "switch", without: DEFAULTS["take-back"] },
  "log-failure": { kind: LOG_FAILURES, without: DEFAULTS["log-failure"] },
  program: { kind: "text", without: null },
};

/** Reads the text of a file. Throws an Error with a sentence for each fault: `FILE:LINE:COLUMN: …`. */
export function parseMirrorFile(path: string, text: string): MirrorFile {
  const faults: string[] = [];
  const fault = ({ line, column }: Place, sentence: string) => faults.push(`${path}:${line}:${column}: ${sentence}`);
  const found = new Map<string, unknown>();
  for (const node of topLevelOf(path, text)) {
    if (node.type === "TOMLTable") {
      fault(placeOf(node), "A mirror's file has no tables: each line is a key and its value.");
      continue;
    }
    const name = node.key.keys.map((part) => (part.type === "TOMLBare" ? part.name : part.value)).join(".");
    const key = Object.hasOwn(KEYS, name) ? KEYS[name] : undefined;
    if (key === undefined) {
      fault(placeOf(node), `There is no key "${name}". The keys are ${Object.keys(KEYS).join(", ")}.`);
      continue;
    }
    const wrong = faultOf(key.kind, node.value);
    if (wrong !== undefined) fault(placeOf(wrong.node), `${name} must be ${wrong.wanted}.`);
    found.set(name, getStaticTOMLValue(node.value));
  }
  for (const [name, { without }] of Object.entries(KEYS)) {
    if (found.has(name)) continue;
    if (without === undefined) faults.push(`${path}: The key ${name} is missing.`);
    found.set(name, without ?? undefined);
  }
  if (faults.length === 0) faults.push(...contradictions(path, fromKeys(found)));
  if (faults.length > 0) throw new Error(faults.join("\n"));
  return fromKeys(found);
}

function contradictions(path: string, { legs, spares, behind }: MirrorFile): string[] {
  const strangers = behind.filter((leg) => !legs.includes(leg));
  const both = spares.filter((spare) => legs.includes(spare));
  return [
    ...strangers.map((leg) => `${path}: ${leg} stands in behind, and is none of the legs.`),
    ...both.map((spare) => `${path}: ${spare} is a leg and a spare. Take it out of one of them.`),
    ...(legs.length > 0 && legs.every((leg) => behind.includes(leg))
      ? [
          `${path}: Every leg stands in behind, so none could be copied from. Take the one with the newest data out of it.`,
        ]
      : []),
  ];
}

export function withoutDuplicates(names: readonly string[]): string[] {
  return [...new Set(names)];
}

/** The legs in the order in which a table must have them: the kernel copies from the first. */
export function legsToCopyFromFirst({ legs, behind }: MirrorFile): string[] {
  return [...legs.filter((leg) => !behind.includes(leg)), ...legs.filter((leg) => behind.includes(leg))];
}

/** Legs in the file that the log has never seen. */
export function legsUnknownToLog({ legs, logDevice, logLegs }: MirrorFile): string[] {
  return logDevice === undefined || logLegs === undefined ? [] : legs.filter((leg) => !logLegs.includes(leg));
}

function fromKeys(found: ReadonlyMap<string, unknown>): MirrorFile {
  const value = <T>(name: string) => found.get(name) as T;
  return {
    uuid: value("uuid"),
    legs: value("legs"),
    size: value("size"),
    regionSize: value("region-size"),
    logDevice: value("log-device"),
    logType: value("log-type"),
    logLegs: value("log-legs"),
    legFailure: value("leg-failure"),
    integratedFlush: value("integrated-flush"),
    blockOnError: value("block-on-error"),
    spares: value("spares"),
    behind: value("behind"),
    takeBack: value("take-back"),
    logFailure: value("log-failure"),
    program: value("program"),
  };
}

/** The text of a new file: what is needed, and what is not as usual. */
export function formatMirrorFile(name: string, mirror: MirrorFile): string {
  const lines = [
    `# The mirror /dev/mapper/${name}. After a change: dm-ulog up ${name} says what differs.`,
    `uuid = ${quoted(mirror.uuid)}`,
    "# First the one to copy from.",
    `legs = ${list(mirror.legs)}`,
    `size = ${quoted(mirror.size)}`,
    `region-size = ${quoted(mirror.regionSize)}`,
  ];
  const optional: [string, string | boolean | undefined, string | boolean | undefined][] = [
    ["log-device", mirror.logDevice, undefined],
    ["log-type", mirror.logType, undefined],
    ["leg-failure", mirror.legFailure, DEFAULTS["leg-failure"]],
    ["integrated-flush", mirror.integratedFlush, DEFAULTS["integrated-flush"]],
    ["block-on-error", mirror.blockOnError, DEFAULTS["block-on-error"]],
    ["take-back", mirror.takeBack, DEFAULTS["take-back"]],
    ["log-failure", mirror.logFailure, DEFAULTS["log-failure"]],
    ["program", mirror.program, undefined],
  ];
  for (const [key, value, usual] of optional) {
    if (value !== usual) lines.push(`${key} = ${typeof value === "string" ? quoted(value) : value}`);
  }
  if (mirror.logLegs !== undefined) lines.push(`log-legs = ${list(mirror.logLegs)}`);
  if (mirror.spares.length > 0) lines.push(`spares = ${list(mirror.spares)}`);
  if (mirror.behind.length > 0) lines.push(`behind = ${list(mirror.behind)}`);
  return `${lines.join("\n")}\n`;
}

/** What a change of a mirror changes in its file. Null takes a key away. */
export type MirrorFileChange = Partial<
  Record<"legs" | "spares" | "behind" | "size" | "log-device" | "log-type" | "log-legs", string | string[] | null>
>;

/** The text with other values of some keys; all else, comments too, stays as a person has written it. */
export function changeMirrorFile(path: string, text: string, change: MirrorFileChange): string {
  const places = new Map<string, AST.TOMLKeyValue>();
  for (const node of topLevelOf(path, text)) {
    if (node.type === "TOMLKeyValue" && node.key.keys[0]?.type === "TOMLBare") places.set(node.key.keys[0].name, node);
  }
  const edits: { start: number; end: number; text: string }[] = [];
  const added: string[] = [];
  for (const [key, value] of Object.entries(change)) {
    const node = places.get(key);
    const written = Array.isArray(value) ? list(value) : quoted(value ?? "");
    if (value === null && node !== undefined) edits.push({ start: node.range[0], end: node.range[1], text: "" });
    else if (value !== null && node !== undefined) {
      edits.push({ start: node.value.range[0], end: node.value.range[1], text: written });
    } else if (value !== null) added.push(`${key} = ${written}\n`);
  }
  edits.sort((a, b) => b.start - a.start);
  let changed = text;
  for (const edit of edits) changed = changed.slice(0, edit.start) + edit.text + changed.slice(edit.end);
  return (changed.endsWith("\n") || added.length === 0 ? changed : `${changed}\n`) + added.join("");
}

function topLevelOf(path: string, text: string): (AST.TOMLKeyValue | AST.TOMLTable)[] {
  try {
    return parseTOML(text).body[0].body;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new Error(`${path}:${error.lineNumber}:${error.column + 1}: ${error.message}.`);
  }
}

function placeOf({ loc }: AST.TOMLNode): Place {
  return { line: loc.start.line, column: loc.start.column + 1 };
}

function faultOf(kind: Kind, node: AST.TOMLContentNode): { node: AST.TOMLNode; wanted: string } | undefined {
  const isText = (one: AST.TOMLContentNode) => one.type === "TOMLValue" && one.kind === "string" && one.value !== "";
  if (kind === "switch") {
    const isSwitch = node.type === "TOMLValue" && node.kind === "boolean";
    return isSwitch ? undefined : { node, wanted: "true or false, without quotes" };
  }
  if (kind === "text") return isText(node) ? undefined : { node, wanted: 'a text in quotes, such as "512K"' };
  if (kind === "texts") {
    const wanted = 'a list of texts in quotes, such as ["/dev/sda", "/dev/sdb"]';
    if (node.type !== "TOMLArray") return { node, wanted };
    const wrong = node.elements.find((element) => !isText(element));
    return wrong === undefined ? undefined : { node: wrong, wanted };
  }
  const isOneOf = node.type === "TOMLValue" && kind.includes(node.value as string);
  return isOneOf ? undefined : { node, wanted: `one of ${kind.map(quoted).join(", ")}` };
}

/** JSON's escapes are TOML's. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

function list(texts: readonly string[]): string {
  return `[${texts.map(quoted).join(", ")}]`;
}
