// In what a mirror that exists differs from the one that its file declares.

import type { MirrorTable } from "../control/machine.ts";

/** A mirror as a table has it. */
export interface WholeMirror {
  lengthSectors: number;
  table: MirrorTable;
}

/** The same for every name of one device. */
export type Identify = (name: string) => string;

/** How the sentence about legs begins. */
export const LEGS_DIFFER = "Legs";

/**
 * Sentences, one for each thing that differs. Sync and nosync are no difference, nor is the order of the legs: they are of the moment when
 * a table is loaded.
 */
export function differences(live: WholeMirror, declared: WholeMirror, identify: Identify): string[] {
  const found: string[] = [];
  const compare = (what: string, ofLive: string, ofFile: string) => {
    if (ofLive !== ofFile) found.push(`${what}: the mirror has ${ofLive}, its file ${ofFile}.`);
  };
  const legs = ({ table }: WholeMirror) =>
    table.legs
      .map((leg, index) => legText(identify(leg), table.legOffsetsSectors[index] ?? 0))
      .sort()
      .join(" ");
  const log = ({ table }: WholeMirror) => (table.logDevice === undefined ? "no log device" : identify(table.logDevice));
  compare("UUID of the log", live.table.uuid ?? "none, its log is the kernel's own", declared.table.uuid ?? "none");
  compare(LEGS_DIFFER, legs(live), legs(declared));
  compare("Size", sectors(live.lengthSectors), sectors(declared.lengthSectors));
  compare("Size of a region", sectors(live.table.regionSizeSectors), sectors(declared.table.regionSizeSectors));
  compare("Log device", log(live), log(declared));
  compare("Log type", live.table.logType, declared.table.logType);
  compare("Options of the log", options(live), options(declared));
  compare("When a leg fails", features(live), features(declared));
  return found;
}

function legText(device: string, offsetSectors: number): string {
  return offsetSectors === 0 ? device : `${device} from sector ${offsetSectors} on`;
}

function sectors(count: number): string {
  return `${count} sectors`;
}

function options({ table }: WholeMirror): string {
  const words = table.options.filter((word) => word !== "sync" && word !== "nosync");
  return [...words, ...(table.isIntegratedFlush ? ["integrated_flush"] : [])].sort().join(" ") || "none";
}

function features({ table }: WholeMirror): string {
  return [...table.features].sort().join(" ") || "nothing";
}
