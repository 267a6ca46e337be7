// Creates the source that the user asks for: an address, a file, a machine with settings, or the default.

import type { Abi } from "../common/abi.ts";
import type { EventAddress } from "../common/trace/address.ts";
import { readAddress } from "./address.ts";
import type { Core } from "./core.ts";
import { LiveServer } from "./sources/live-server.ts";
import { openingScene } from "./sources/opening.ts";
import { readSimulation, type Settings } from "./sources/settings.ts";
import { Simulation } from "./sources/simulation.ts";
import type { Source } from "./sources/source.ts";
import { TraceFile } from "./sources/trace-file.ts";

/** A trace that is opened without a position shows its end. */
const AT_THE_END = Number.MAX_SAFE_INTEGER;

export class Opener {
  /** The feed of a live server, which the server has written into the page. */
  readonly livePath = document.documentElement.dataset.live;

  constructor(
    private readonly core: Core,
    private readonly abi: Abi,
    /** Takes a source and the position to show, or the event to show the state after. */
    private readonly load: (source: Source, position: number | EventAddress) => void,
    /** Is told why something cannot be opened. */
    private readonly fail: (words: string) => void,
  ) {}

  /** Opens what the page's address says. */
  async openAddress(): Promise<void> {
    const { kind, parts, at } = readAddress(window.location);
    const isBare = window.location.hash === "" && window.location.search === "";
    if (kind === "live" || (isBare && this.livePath !== undefined)) {
      await this.openLive();
    } else if (kind === "trace") {
      await this.openTrace(TraceFile.ofAddress(parts.get("trace") ?? "", this.abi), at ?? AT_THE_END);
    } else if (at === null && parts.size === 0) {
      this.openScene();
    } else {
      const { settings, planned } = readSimulation(parts);
      // A machine makes its events anew: it is shown by position alone.
      this.load(new Simulation(settings, planned, this.core), typeof at === "number" ? at : 0);
    }
  }

  async openFile(file: File): Promise<void> {
    await this.openTrace(TraceFile.ofFile(file, this.abi), AT_THE_END);
  }

  /** Looks at the server that the page comes from. */
  async openLive(): Promise<void> {
    if (this.livePath === undefined)
      this.fail("This page does not come from a live server. Start one with: dm-ulog serve --view");
    else await this.openTrace(LiveServer.connect(this.livePath, this.abi), 0);
  }

  openScene(): void {
    const { source, position } = openingScene(this.core);
    this.load(source, position);
  }

  openMachine(settings: Settings): void {
    this.load(new Simulation(settings, [], this.core), 0);
  }

  private async openTrace(opened: Promise<Source>, position: number | EventAddress): Promise<void> {
    try {
      this.load(await opened, position);
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
    }
  }
}
