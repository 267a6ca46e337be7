import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type CommandResult, runCommand, tryCommand } from "./command.ts";
import type { BootPlan, GuestReport, ServerKind } from "./contract.ts";
import { Disk, SECTOR_SIZE_BYTES, writeContents } from "./disk.ts";
import { DeviceMapper } from "./dm.ts";
import { checkKernelLog, type KernelLog } from "./kernel-log.ts";
import { type LoadOptions, type LoadTally, type RunningLoad, writeRandomly } from "./load.ts";
import { soilLogDevice } from "./log-device.ts";
import { Mirror, type MirrorOptions } from "./mirror.ts";
import { Random } from "./random.ts";
import type { Scenario } from "./scenario.ts";
import { Server } from "./server.ts";
import { serverPrograms } from "./server-program.ts";

/** The guest's /etc is the host's, read-only. */
export const MIRRORS_DIRECTORY = "/run/mirrors.d";

/** The tools of one scenario. Only the disks and the kernel outlive the scenario. */
export class Lab {
  readonly dm = new DeviceMapper();
  /** The server that serves the mirrors: at first the one that this run tests. */
  server: Server;
  /** Every kind of server, for scenarios that compare them. One runs at a time. */
  readonly servers: Readonly<Record<ServerKind, Server>>;
  /** The random data of this scenario, which is the same after a power cut. */
  readonly seed: string;
  readonly random: Random;
  /** How often the power was cut in this scenario so far. */
  readonly powerCuts: number;
  readonly #scenario: Scenario;
  readonly #kernelLog: KernelLog;
  readonly #report: (report: GuestReport) => void;
  readonly #serverDeath: Promise<never>;
  /** Of the package's command. */
  readonly repositoryPath: string;
  readonly mainPath: string;

  private constructor(
    plan: BootPlan,
    scenario: Scenario,
    kernelLog: KernelLog,
    report: (report: GuestReport) => void,
    powerCuts: number,
  ) {
    this.seed = `${plan.seed}/${scenario.name}`;
    this.random = new Random(powerCuts === 0 ? this.seed : `${this.seed}/power cut ${powerCuts}`);
    this.powerCuts = powerCuts;
    this.#scenario = scenario;
    this.#kernelLog = kernelLog;
    this.#report = report;
    let reportDeath: (error: Error) => void = () => {};
    this.#serverDeath = new Promise((_resolve, reject) => {
      reportDeath = reject;
    });
    this.repositoryPath = plan.repositoryPath;
    this.mainPath = join(plan.repositoryPath, "dist/cli/main.js");
    const programs = serverPrograms(plan, scenario.name);
    this.servers = {
      node: new Server(programs.node, reportDeath),
      native: new Server(programs.native, reportDeath),
      c: new Server(programs.c, reportDeath),
    };
    this.server = this.servers[plan.server];
  }

  /** Runs a scenario to its verdict: returns if it passed, throws the reason if not. */
  static async run(
    plan: BootPlan,
    scenario: Scenario,
    kernelLog: KernelLog,
    report: (report: GuestReport) => void,
    powerCuts: number,
  ): Promise<void> {
    const lab = new Lab(plan, scenario, kernelLog, report, powerCuts);
    await Promise.race([lab.#runAndTidyUp(), lab.#serverDeath]);
    lab.#checkKernelLog();
  }

  async #runAndTidyUp(): Promise<void> {
    await this.#scenario.run(this);
    await this.dm.removeAll();
    if (this.server.isRunning) await this.server.stop();
    rmSync(MIRRORS_DIRECTORY, { recursive: true, force: true });
  }

  #checkKernelLog(): void {
    const { expectedKernelLog = [], possibleKernelLog = [], keptKernelLog } = this.#scenario;
    const isKept = this.server !== this.servers.c && keptKernelLog !== undefined;
    const expected = isKept ? (keptKernelLog.expected ?? []) : expectedKernelLog;
    const possible = isKept ? (keptKernelLog.possible ?? []) : possibleKernelLog;
    checkKernelLog(this.#kernelLog.take(), expected, possible);
  }

  /** A line for the person who runs the lab. */
  note(text: string): void {
    this.#report({ event: "note", text });
  }

  /** Makes the host kill this guest after a while, in the middle of its work. */
  cutPower(afterMs: number): void {
    this.#checkKernelLog();
    this.#report({ event: "cut power", afterMs });
  }

  /**
   * Fills both legs with random data, each with its own: legs that are identical later can only come from a resync or
   * from writes. A log device gets some too, as another user would have left it. Returns what the first leg holds, which
   * is what a mirror of both shows.
   */
  async fillLegs({ legs, sizeSectors, logDevice }: MirrorOptions): Promise<Buffer> {
    const contents = Buffer.alloc(sizeSectors * SECTOR_SIZE_BYTES);
    for (const leg of [legs[1], legs[0]]) {
      this.random.fill(contents);
      await writeContents(leg, contents);
    }
    if (logDevice) await soilLogDevice(logDevice, this.random);
    return contents;
  }

  /** Makes a mirror of legs that differ everywhere; `contents` is given for legs that were filled before. */
  async makeMirror(options: MirrorOptions, contents?: Buffer): Promise<Mirror> {
    return Mirror.create(this.dm, options, contents ?? (await this.fillLegs(options)));
  }

  /** The same of the very line that `dm-ulog table` prints; `words` choose more of it. */
  async makePrintedMirror(options: MirrorOptions, ...words: string[]): Promise<Mirror> {
    const contents = await this.fillLegs(options);
    const { name, legs, logUuid, logDevice, regionSizeSectors, sizeSectors } = options;
    const line = await this.dmUlog(
      ...["table", "--uuid", logUuid ?? name, "--length", `${sizeSectors}s`, "--region-size", `${regionSizeSectors}s`],
      ...(logDevice === undefined ? [] : ["--log-device", logDevice]),
      ...words,
      ...legs,
    );
    return Mirror.create(this.dm, options, contents, line.trimEnd());
  }

  /** The same declared in a file of the guest and brought up, by `dm-ulog create`. */
  async declareMirror(options: MirrorOptions, ...words: string[]): Promise<Mirror> {
    const contents = await this.fillLegs(options);
    const { name, legs, logDevice, regionSizeSectors, sizeSectors } = options;
    await this.mirrors(
      ...["create", name, ...legs, "--length", `${sizeSectors}s`, "--region-size", `${regionSizeSectors}s`],
      ...(logDevice === undefined ? [] : ["--log-device", logDevice]),
      ...words,
    );
    return Mirror.found(this.dm, options, contents);
  }

  /** A command about declared mirrors: their files are the guest's own. */
  mirrors(command: string, ...words: string[]): Promise<string> {
    return this.dmUlog(command, "--mirrors-dir", MIRRORS_DIRECTORY, ...words);
  }

  /** The same where it may end with another status than 0. */
  tryMirrors(command: string, ...words: string[]): Promise<CommandResult> {
    return this.tryDmUlog(command, "--mirrors-dir", MIRRORS_DIRECTORY, ...words);
  }

  /** What the package's command prints. It takes the guest two seconds. */
  dmUlog(...words: string[]): Promise<string> {
    return runCommand(process.execPath, [this.mainPath, ...words]);
  }

  /** The package's systemd unit for the server of this run. */
  get unit(): string {
    const name = this.server === this.servers.native ? "dm-ulog" : "dm-ulog-node";
    return readFileSync(join(this.repositoryPath, `systemd/${name}.service`), "utf8");
  }

  /** The words of a field in the unit. */
  unitField(name: string): string[] {
    const line = this.unit.split("\n").find((one) => one.startsWith(`${name}=`));
    return line?.slice(name.length + 1).split(" ") ?? [];
  }

  /** The same where it may end with another status than 0. */
  tryDmUlog(...words: string[]): Promise<CommandResult> {
    return tryCommand(process.execPath, [this.mainPath, ...words]);
  }

  /** Writes to a mirror at random and reads at the same time, until told to stop. */
  async load(mirror: Mirror, goOn: (tally: LoadTally) => boolean, options?: LoadOptions): Promise<LoadTally> {
    const disk = await Disk.open(mirror.path);
    const tally = await writeRandomly(disk, mirror.contents, this.random.fork(), goOn, options);
    await disk.close();
    return tally;
  }

  /** The same until `stop` is called. */
  keepWriting(mirror: Mirror): RunningLoad {
    let isOver = false;
    const load = this.load(mirror, () => !isOver);
    return {
      stop() {
        isOver = true;
        return load;
      },
    };
  }
}
