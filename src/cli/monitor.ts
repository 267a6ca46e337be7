// dm-ulog monitor: watches the mirrors that are declared, tells what happens to them, and does what their files allow.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findIfThere, THIS_MACHINE } from "../node/devices/block-devices.ts";
import { DeviceEvents } from "../node/devices/device-events.ts";
import type { MappedDevice } from "../node/devices/mapped-device.ts";
import { keepLegRules } from "../node/mirrors/leg-rules.ts";
import { LEGS_DIFFER } from "../node/mirrors/mirror-difference.ts";
import { type DeclaredMirror, declaredNames, readDeclared, withMirrorsLocked } from "../node/mirrors/mirror-files.ts";
import { type MirrorEvent, MirrorWatch, type Sight, type Step } from "../node/mirrors/mirror-watch.ts";
import { applyChange, changeFile, goOver, settle, statusOf } from "./change.ts";
import { logInMemory, replacement } from "./changes.ts";
import { absentLegs, identifier, legDevice, returnedLegs, stateOf } from "./declared.ts";
import { checkNewDevice } from "./new-device.ts";
import { logFormatOf, ServerLog } from "./server-log.ts";

export interface MonitorOptions {
  mirrorsDir: string;
  /** Seconds between two looks without an event. */
  interval: number;
  /** Seconds before the first try to take back what failed. */
  retry: number;
  program?: string;
  test?: boolean;
}

const LOCK_WAIT_MS = 1000;
const PROGRAM_LIMIT_MS = 60_000;
const PROBE_LIMIT_MS = 10_000;
/** Stands where a mirror's name would, and is none. */
const UDEV = "";
const run = promisify(execFile);

export async function monitor(options: MonitorOptions): Promise<void> {
  const one = new Monitor(options);
  if (options.test === true) await one.test();
  else await one.watch();
}

class Monitor {
  readonly #log = new ServerLog(logFormatOf(process.env));
  readonly #watches = new Map<string, MirrorWatch>();
  /** What was told of a mirror that cannot be watched; told again when it changes. */
  readonly #trouble = new Map<string, string>();
  readonly #programs = new Set<Promise<void>>();

  constructor(private readonly options: MonitorOptions) {}

  async test(): Promise<void> {
    for (const declared of this.declared())
      this.tell(declared, "test", "", `This is a test of the events of ${declared.name}.`, false);
    await Promise.all(this.#programs);
  }

  async watch(): Promise<never> {
    const events = new DeviceEvents();
    this.#log.info(
      `Watching ${declaredNames(this.options.mirrorsDir).length} mirrors declared in ${this.options.mirrorsDir}.`,
    );
    for (;;) {
      events.arm();
      for (const declared of this.declared()) await this.lookAt(declared);
      this.trouble(UDEV, await keepLegRules(this.options.mirrorsDir));
      await events.wait(this.options.interval * 1000);
    }
  }

  private declared(): DeclaredMirror[] {
    return declaredNames(this.options.mirrorsDir).flatMap((name) => {
      try {
        const declared = readDeclared(this.options.mirrorsDir, name);
        return declared;
      } catch (error) {
        this.trouble(name, (error as Error).message);
        return [];
      }
    });
  }

  private trouble(name: string, sentence: string | undefined): void {
    if (this.#trouble.get(name) === sentence) return;
    if (sentence === undefined) this.#trouble.delete(name);
    else {
      this.#trouble.set(name, sentence);
      this.#log.warning(sentence);
    }
  }

  private async lookAt(declared: DeclaredMirror): Promise<void> {
    const { mirrorsDir } = this.options;
    const { name } = declared;
    try {
      await withMirrorsLocked(mirrorsDir, LOCK_WAIT_MS, async () => {
        const settled = await settle(declared);
        if (settled !== undefined) this.#log.warning(settled);
        const state = await stateOf(declared);
        if (state.state === "down" || state.state === "unfinished") {
          this.#watches.delete(name);
          this.trouble(name, `The mirror ${name} is declared, and is not up. To bring it up: dm-ulog up ${name}`);
          return;
        }
        const seen = look(declared, state.device);
        if (typeof seen === "string") return this.trouble(name, seen);
        const edited = state.state === "differs" ? editedSentence(declared, state.differences, seen) : undefined;
        this.trouble(name, edited);
        const watch = this.#watches.get(name) ?? new MirrorWatch(name, this.options.retry * 1000);
        this.#watches.set(name, watch);
        let now = declared;
        for (const step of watch.see(seen, declared.mirror)) {
          if (edited === undefined || step.step === "tell") now = await this.take(now, step);
        }
      });
    } catch (error) {
      this.trouble(name, `${name}: ${(error as Error).message}`);
    }
  }

  /** Does one thing. Returns the mirror as it is declared afterwards. */
  private async take(declared: DeclaredMirror, step: Step): Promise<DeclaredMirror> {
    const { name, mirror } = declared;
    switch (step.step) {
      case "tell":
        this.tell(declared, step.event, step.device, step.sentence, step.isProblem);
        return declared;
      case "behind":
        return changeFile(declared, { behind: step.legs });
      case "take spare":
        return this.takeSpare(declared, step.leg);
      case "take back":
        if (!mirror.legs.includes(step.leg) || !(await canBeRead(legDevice(step.leg)))) return declared;
        this.tell(
          declared,
          "leg-returned",
          step.leg,
          `The leg ${step.leg} of ${name} can be read again. It is copied what it missed.`,
          false,
        );
        return beginAnew(declared, step.isReload);
      case "begin anew":
        return beginAnew(declared, step.isReload);
      case "log in memory": {
        const after = await applyChange(declared, logInMemory(mirror));
        const sentence =
          `${name} goes on with its log in memory: everything is copied again, and after a power cut too. To give it another log: ` +
          `dm-ulog change-log ${name} DEVICE`;
        this.tell(after, "log-in-memory", mirror.logDevice ?? "", sentence, true);
        return after;
      }
    }
  }

  private async takeSpare(declared: DeclaredMirror, leg: string): Promise<DeclaredMirror> {
    const { name, mirror } = declared;
    for (const spare of mirror.spares) {
      try {
        checkNewDevice("spare", spare, { mayHoldData: true });
        const after = await applyChange(declared, replacement(mirror, leg, spare));
        this.tell(
          after,
          "spare-taken",
          spare,
          `The spare ${spare} takes the place of ${leg} in ${name}, and is copied to.`,
          true,
        );
        return after;
      } catch (error) {
        this.#log.error(`The spare ${spare} of ${name} cannot be taken: ${(error as Error).message}`);
      }
    }
    return declared;
  }

  private tell(
    { name, mirror }: DeclaredMirror,
    event: MirrorEvent,
    device: string,
    sentence: string,
    isProblem: boolean,
  ): void {
    if (isProblem) this.#log.error(sentence);
    else this.#log.info(sentence);
    for (const program of [mirror.program, this.options.program]) {
      if (program === undefined) continue;
      const told = run(program, [event, name, ...(device === "" ? [] : [device])], { timeout: PROGRAM_LIMIT_MS }).then(
        () => {},
        (error: Error) =>
          this.#log.error(`The program ${program} failed with the event ${event} of ${name}: ${error.message.trim()}`),
      );
      this.#programs.add(told);
      told.finally(() => this.#programs.delete(told));
    }
  }
}

/** Where a file was changed by hand, to load it would change a mirror that is in use, and call legs in sync that never were. */
function editedSentence(
  { name, mirror }: DeclaredMirror,
  differences: readonly string[],
  { displaced }: Sight,
): string | undefined {
  const others = differences.filter((one) => !one.startsWith(LEGS_DIFFER));
  const strange = displaced.filter((leg) => !mirror.behind.includes(leg));
  if (others.length === 0 && strange.length === 0) return undefined;
  return `${name} differs from its file, and nothing is done for it until that has an end. What to do: dm-ulog up ${name}`;
}

/** Suspends and resumes, with the same table loaded anew where `isReload`. */
async function beginAnew(declared: DeclaredMirror, isReload: boolean): Promise<DeclaredMirror> {
  if (isReload) return applyChange(declared, { file: {}, isLogNew: false });
  goOver(declared.name);
  return declared;
}

/** What is seen of a mirror, or the sentence why that is nothing. */
function look(declared: DeclaredMirror, device: MappedDevice): Sight | string {
  const { name, mirror } = declared;
  const status = statusOf(name);
  if (status === undefined) return `The device ${name} is no mirror: ${device.live[0]?.type}.`;
  const identify = identifier(declared);
  const inTable = new Set(status.legs.map(({ numbers }) => numbers));
  const byNumbers = new Map(mirror.legs.map((leg) => [identify(legDevice(leg)), leg]));
  // Legs that the file and the table name by different numbers: the disk went and came back, or is away.
  const elsewhere = mirror.legs.filter((leg) => !inTable.has(identify(legDevice(leg))));
  const away = absentLegs(mirror);
  const displaced = [...elsewhere.filter((leg) => !away.includes(leg)), ...returnedLegs(declared)];
  const waiting = [...elsewhere];
  const legs = status.legs.map(({ numbers, health }) => ({
    leg: byNumbers.get(numbers) ?? waiting.shift() ?? numbers,
    health,
  }));
  const { inSyncRegions, regionCount, logHealth } = status;
  return { atMs: performance.now(), legs, inSyncRegions, regionCount, logHealth, displaced };
}

/** Reads the beginning of a device past the cache, in a process of its own: a device may hang. */
async function canBeRead(name: string): Promise<boolean> {
  if (findIfThere(THIS_MACHINE, name) === undefined) return false;
  try {
    await run("dd", [`if=${name}`, "of=/dev/null", "bs=4096", "count=1", "iflag=direct"], {
      timeout: PROBE_LIMIT_MS,
      killSignal: "SIGKILL",
    });
    return true;
  } catch {
    return false;
  }
}
