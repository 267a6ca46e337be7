// Makes a source of what a person asks for: an address, a file, a machine with settings, or nothing in particular.

import type { Abi } from "../common/abi.ts";
import { readAddress } from "./address.ts";
import type { Core } from "./core.ts";
import { openingScene } from "./sources/opening.ts";
import { readSimulation, type Settings } from "./sources/settings.ts";
import { Simulation } from "./sources/simulation.ts";
import type { Source } from "./sources/source.ts";
import { TraceFile } from "./sources/trace-file.ts";

/** A trace that is opened without a position shows what all of it came to. */
const AT_THE_END = Number.MAX_SAFE_INTEGER;

export class Opener {
  constructor(
    private readonly core: Core,
    private readonly abi: Abi,
    /** Takes a source and the position to show. */
    private readonly load: (source: Source, position: number) => void,
    /** Hears why something cannot be opened. */
    private readonly fail: (words: string) => void,
  ) {}

  /** Opens what the page's address says. */
  async openAddress(): Promise<void> {
    const { kind, parts, at } = readAddress(window.location);
    if (kind === "trace") {
      await this.openTrace(TraceFile.ofAddress(parts.get("trace") ?? "", this.abi), at ?? AT_THE_END);
    } else if (at === null && parts.size === 0) {
      this.openScene();
    } else {
      const { settings, planned } = readSimulation(parts);
      this.load(new Simulation(settings, planned, this.core), at ?? 0);
    }
  }

  async openFile(file: File): Promise<void> {
    await this.openTrace(TraceFile.ofFile(file, this.abi), AT_THE_END);
  }

  openScene(): void {
    const { source, position } = openingScene(this.core);
    this.load(source, position);
  }

  openMachine(settings: Settings): void {
    this.load(new Simulation(settings, [], this.core), 0);
  }

  private async openTrace(opened: Promise<Source>, position: number): Promise<void> {
    try {
      this.load(await opened, position);
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
    }
  }
}
