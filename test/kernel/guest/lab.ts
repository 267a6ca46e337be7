import type { BootPlan } from "./contract.ts";
import { Disk, SECTOR_SIZE_BYTES, writeContents } from "./disk.ts";
import { DeviceMapper } from "./dm.ts";
import { checkKernelLog, type KernelLog } from "./kernel-log.ts";
import { type LoadTally, writeRandomly } from "./load.ts";
import { Mirror, type MirrorOptions } from "./mirror.ts";
import { Random } from "./random.ts";
import type { Scenario } from "./scenario.ts";
import { Server } from "./server.ts";

/** What one scenario works with. Nothing of it outlives the scenario but the disks and the kernel. */
export class Lab {
  readonly dm = new DeviceMapper();
  readonly server: Server;
  readonly random: Random;
  readonly note: (text: string) => void;
  readonly #serverDeath: Promise<never>;

  private constructor(plan: BootPlan, scenario: Scenario, note: (text: string) => void) {
    this.random = new Random(`${plan.seed}/${scenario.name}`);
    this.note = note;
    let reportDeath: (error: Error) => void = () => {};
    this.#serverDeath = new Promise((_resolve, reject) => {
      reportDeath = reject;
    });
    this.server = new Server(plan.repositoryPath, reportDeath);
  }

  /** Runs a scenario to its verdict: returns if it passed, throws the reason if not. */
  static async run(
    plan: BootPlan,
    scenario: Scenario,
    kernelLog: KernelLog,
    note: (text: string) => void,
  ): Promise<void> {
    const lab = new Lab(plan, scenario, note);
    await Promise.race([lab.#runAndTidyUp(scenario), lab.#serverDeath]);
    checkKernelLog(kernelLog.take(), scenario.expectedKernelLog ?? []);
  }

  async #runAndTidyUp(scenario: Scenario): Promise<void> {
    await scenario.run(this);
    await this.dm.removeAll();
    if (this.server.isRunning) await this.server.stop();
  }

  /**
   * Fills both legs with random data, each with its own: legs that are identical later can only come from a resync or
   * from writes. Returns what the first leg holds, which is what a mirror of both shows.
   */
  async fillLegs({ legs, sizeSectors }: MirrorOptions): Promise<Buffer> {
    const contents = Buffer.alloc(sizeSectors * SECTOR_SIZE_BYTES);
    for (const leg of [legs[1], legs[0]]) {
      this.random.fill(contents);
      await writeContents(leg, contents);
    }
    return contents;
  }

  /** Makes a mirror of legs that differ everywhere; `contents` is given for legs that were filled before. */
  async makeMirror(options: MirrorOptions, contents?: Buffer): Promise<Mirror> {
    return Mirror.create(this.dm, options, contents ?? (await this.fillLegs(options)));
  }

  /** Writes to a mirror at random, and reads meanwhile, until told otherwise. */
  async load(mirror: Mirror, goOn: (tally: LoadTally) => boolean): Promise<LoadTally> {
    const disk = await Disk.open(mirror.path);
    const tally = await writeRandomly(disk, mirror.contents, this.random.fork(), goOn);
    await disk.close();
    return tally;
  }
}
