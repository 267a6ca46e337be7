#!/usr/bin/env node
// The dm-ulog command: what a person types, and the sentences they get back.

import { isIP } from "node:net";
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { MIRRORS_DIRECTORY_DEFAULT } from "../node/mirrors/mirror-files.ts";
import { FLIGHT_BYTES_MAX, FLIGHT_BYTES_MIN } from "../node/recording/flight-sizes.ts";
import { SPIN_US_MAX } from "../node/requests/spin.ts";
import { RUNTIME_DIRECTORY_DEFAULT } from "../node/state/runtime-paths.ts";
import { LIVE_PORT_DEFAULT, LOOPBACK, METRICS_PORT_DEFAULT } from "../node/web/defaults.ts";
import type { Shell } from "./completion/completion.ts";
import type { ConformanceOptions } from "./conformance.ts";
import type { DoctorOptions } from "./doctor.ts";
import type { InspectOptions } from "./inspect.ts";
import { dissectorPath, packageVersion } from "./installation.ts";
import { LEG_FAILURE_HELP, legFailure } from "./leg-failure-option.ts";
import type { LiveOptions, MetricsOptions } from "./look.ts";
import { ADMINISTRATION } from "./manual-sections.ts";
import { addMirrorCommands } from "./mirror-commands.ts";
import type { PlanOptions } from "./plan.ts";
import { endQuietly } from "./quiet-end.ts";
import { type RecordOptions, record } from "./record.ts";
import type { ReplayOptions } from "./replay.ts";
import type { ReportPlaces } from "./report-parts.ts";
import { serve } from "./serve.ts";
import type { SimulateOptions } from "./simulate.ts";
import { parseBytes } from "./sizes.ts";
import type { StatusOptions } from "./status.ts";
import { table } from "./table.ts";
import type { CutOptions } from "./trace.ts";
import type { DiffOptions } from "./trace-diff.ts";
import { type Position, parsePosition } from "./trace-position.ts";
import { CLOCKS } from "./trace-time.ts";
import { unit } from "./unit.ts";
import type { ViewOptions } from "./view.ts";
import type { WhyOptions } from "./why.ts";

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError("Give a whole number.");
  return value;
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value === 0 || value > 0xffff_ffff) throw new InvalidArgumentError("Give a whole number from 1 to 4294967295.");
  return value;
}

function portNumber(text: string): number {
  const value = wholeNumber(text);
  if (value > 0xffff) throw new InvalidArgumentError("Give a port: a whole number up to 65535.");
  return value;
}

function ipAddress(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError("Give an IP address.");
  return text;
}

function blockSize(text: string): number {
  const value = wholeNumber(text);
  if (![4096, 8192, 16384, 32768, 65536].includes(value)) throw new InvalidArgumentError("Give one of those sizes.");
  return value;
}

function spinTime(text: string): number {
  const value = wholeNumber(text);
  if (value > SPIN_US_MAX) throw new InvalidArgumentError(`Give a number from 0 to ${SPIN_US_MAX}.`);
  return value;
}

/** As many as the core takes. */
const MARK_AHEAD_MAX = 4096;

function markAhead(text: string): number {
  const value = wholeNumber(text);
  if (value > MARK_AHEAD_MAX) throw new InvalidArgumentError(`Give a number from 0 to ${MARK_AHEAD_MAX}.`);
  return value;
}

function position(text: string): Position {
  const parsed = parsePosition(text);
  if (parsed === null)
    throw new InvalidArgumentError("Give the address of an event, such as 3:252, or a time such as 1.5s, 20ms or 7us.");
  return parsed;
}

function bytes(text: string): number {
  try {
    return parseBytes(text, "Size");
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function flightBytes(text: string): number {
  const value = bytes(text);
  if (value !== 0 && (value < FLIGHT_BYTES_MIN || value > FLIGHT_BYTES_MAX)) {
    throw new InvalidArgumentError("Give 0, or a size from 1M to 1G.");
  }
  return value;
}

const recordSize = () =>
  new Option("--record-size <size>", "start a new file at this size; FILE becomes FILE.1, FILE.1 becomes FILE.2, …")
    .default(256 * 1024 * 1024, "256M")
    .argParser(bytes);
const recordFiles = () =>
  new Option("--record-files <number>", "keep this many files; older ones are deleted").default(8).argParser(positive);

const clock = () =>
  new Option(
    "--time <clock>",
    "times of the core's clock, since the first event, or of the wall clock where that is recorded (default: core)",
  ).choices(CLOCKS);

const mirrorsDir = () =>
  new Option("--mirrors-dir <directory>", "folder of the files that declare mirrors").default(
    MIRRORS_DIRECTORY_DEFAULT,
  );

const force = () =>
  new Option("--force", "print the line even if a device is in use or holds something, and only warn");
const program = new Command("dm-ulog")
  .description("Keeps the dirty log of device-mapper mirrors for the Linux kernel (dm-log-userspace).")
  .version(packageVersion())
  .showHelpAfterError("(dm-ulog --help lists the commands)")
  .configureHelp({ showGlobalOptions: true })
  .enablePositionalOptions();

// Their manual pages are in section 8.
program.commandsGroup(ADMINISTRATION);

program
  .command("serve")
  .description("Answer this machine's kernel in the foreground until SIGTERM. Needs root and dm-log-userspace.")
  .option("--runtime-dir <directory>", "directory for the lock, state files and sockets", RUNTIME_DIRECTORY_DEFAULT)
  .option(
    "--quiet-time <ms>",
    "write a clear to the log device when its region has been idle this long",
    positive,
    3000,
  )
  .option(
    "--lazy-regions <number>",
    "write clears early when this many wait; regions of waiting clears are resynced after a power cut",
    positive,
    65536,
  )
  .option(
    "--mark-ahead <number>",
    "mark up to this many regions on the log device ahead of a sequential writer, which saves a write for each; 0 for none",
    markAhead,
    64,
  )
  .option(
    "--block-size <bytes>",
    "write logs in blocks of this size: 4096, 8192, 16384, 32768 or 65536",
    blockSize,
    4096,
  )
  .option("--record <file>", "record every input and output of the engine, for dm-ulog replay and inspect")
  .addOption(recordSize())
  .addOption(recordFiles())
  .addOption(
    new Option(
      "--flight-recorder <size>",
      "memory for the last events, which show what happened when something goes wrong; 0 for none (default: 2M, which the " +
        "native host locks, and 16M with the Node.js host)",
    ).argParser(flightBytes),
  )
  .option(
    "--crash-directory <directory>",
    "directory for the last events of a server that failed (default: in the runtime directory)",
  )
  .addOption(
    new Option(
      "--host <host>",
      "native: dm-ulogd, for production and swap; node: Node.js, for development (default: native where it is built)",
    ).choices(["native", "node"]),
  )
  .option(
    "--spin <us>",
    "look for the next request this long before sleeping, where that pays; 0 for never (default: 50)",
    spinTime,
  )
  .option("--no-keeper", "do not keep the socket open when this server dies")
  .option("--real-time <priority>", "native host: run with this priority of SCHED_RR, from 1 to 99", positive)
  .option("--take-over", "native host: take the place of the running one, without a request waiting for it")
  .option("--force", "serve although another server seems to serve this machine: one that cannot answer any more")
  .option("--metrics <port>", "serve metrics for Prometheus on this port of 127.0.0.1 too", portNumber)
  .addOption(
    new Option(
      "--log-format <format>",
      "plain, journal (with priorities) or json (one object per line); default: journal under systemd, else plain",
    ).choices(["plain", "journal", "json"]),
  )
  .option("--view [port]", `serve a page that shows what the engine does (port ${LIVE_PORT_DEFAULT})`, portNumber)
  .option("--view-address <address>", "IP address of this machine to serve that page on", ipAddress, LOOPBACK)
  .addHelpText(
    "after",
    "\nThe view is read-only and never delays the kernel. Everybody who can reach its address sees the names of logs and\n" +
      "which regions are written: every user of this machine, and with --view-address other machines too.",
  )
  .action(serve);

program
  .command("unit")
  .description("Print the systemd unit of the server, of mirrors or of the monitor, with the paths of this machine.")
  .addOption(
    new Option("--host <host>", "native or node (default: native where it is built)").choices(["native", "node"]),
  )
  .option("--mirrors", "the unit that brings a declared mirror up at boot and takes it down at shutdown")
  .option("--monitor", "the unit that watches the declared mirrors")
  .addHelpText(
    "after",
    `
For example:
  dm-ulog unit | sudo tee /etc/systemd/system/dm-ulog.service && sudo systemctl enable --now dm-ulog
  dm-ulog unit --mirrors | sudo tee /etc/systemd/system/dm-ulog-mirror@.service
  dm-ulog unit --monitor | sudo tee /etc/systemd/system/dm-ulog-monitor.service`,
  )
  .action(unit);

program
  .command("status")
  .description("Show every mirror: whether it is up and in sync, how its legs and its log are, what waits. Needs root.")
  .option("--watch", "update until interrupted; on a terminal with a progress bar for each mirror")
  .option("--uuids", "also show the UUIDs, luids and types of the logs")
  .option("--json", "print one JSON object (docs/status-json.md); with --watch, one line for each change")
  .option("--runtime-dir <directory>", "the server's runtime directory", RUNTIME_DIRECTORY_DEFAULT)
  .addOption(mirrorsDir())
  .addHelpText(
    "after",
    "\nExit status: 0, or 1 if no server answers. Mirrors that are declared or up are shown even then.",
  )
  .action(async (options: StatusOptions) => {
    const { status } = await import("./status.ts");
    process.exitCode = await status(options);
  });

program
  .command("record")
  .description("Record every input and output of the running server's engine from now on. Needs root.")
  .argument("[file]", "file to record to; an existing trace becomes FILE.1")
  .option("--stop", "end the recording")
  .option(
    "--save <file>",
    "save the last events, which the server's flight recorder always keeps, to this file instead",
  )
  .addOption(recordSize())
  .addOption(recordFiles())
  .option("--runtime-dir <directory>", "the server's runtime directory", RUNTIME_DIRECTORY_DEFAULT)
  .addHelpText(
    "after",
    "\nThe file is a pcapng trace: Wireshark opens it, dm-ulog replay feeds it to an engine again, and dm-ulog inspect\n" +
      "shows it in words. The kernel never waits for a recording: if the disk is full or too slow, the file lacks events\n" +
      "and the server's log says so.",
  )
  .action((file: string | undefined, options: RecordOptions) => record(file, options));

program
  .command("table")
  .description("Print the dmsetup table line for a mirror whose log dm-ulog keeps.")
  .argument("<legs...>", "the mirror's legs, first the one to copy from; an offset may follow: /dev/sda:2048s")
  .option("--region-size <size>", "size of a region, which is one bit of the log; a power of two", "512K")
  .option("--length <size>", "size of the mirror (default: size of its shortest leg)")
  .option("--uuid <name>", "name of the log (default: a random name)")
  .option("--log-device <device>", "keep the log on this device or file, so that it survives a power cut")
  .option("--log-type <type>", "clustered-core or core; with a log device clustered-disk or disk")
  .option("--sync", "resync everything, whatever the log says")
  .option("--nosync", "treat the legs as identical and resync nothing")
  .option("--block-on-error", "hold writes when the log fails; lvm2 sets this")
  .option("--integrated-flush", "send marks with the flush, which saves one round trip for each write")
  .addOption(legFailure())
  .addOption(force())
  .addHelpText(
    "after",
    `
${LEG_FAILURE_HELP}

It refuses tables that would destroy data: one device as two legs or as leg and log, under any names; a device together with its
own partition. Without --force it refuses devices that are mounted, used as swap, in use, or hold data. Run it as root, so that
it can check all of this.

For example:
  line=$(sudo dm-ulog table --integrated-flush /dev/sda /dev/sdb) &&
    sudo dmsetup create mymirror --table "$line"`,
  )
  .action(table);

addMirrorCommands(program);

program
  .command("plan")
  .description(
    "Propose a region size for a mirror, and say how much its log takes and how long a resync lasts after a crash.",
  )
  .argument("[legs...]", "the mirror's legs, for the table line")
  .requiredOption("--size <size>", "size of the mirror, such as 20T")
  .requiredOption("--max-resync <duration>", "how long a resync after a crash may take: 90s, 5m, 2h, 1d")
  .option("--resync-rate <size>", "how much the kernel copies from leg to leg per second", "200M")
  .option("--writes <number>", "at most this many different regions are written to per second", positive, 10_000)
  .option("--quiet-time <ms>", "the server's --quiet-time", positive, 3000)
  .option("--lazy-regions <number>", "the server's --lazy-regions", positive, 65536)
  .option("--log-device <device>", "the log device, for the table line", "/dev/LOG")
  .addOption(legFailure())
  .addOption(force())
  .option("--json", "print one JSON object; sizes in bytes or sectors, times in seconds")
  .action(async (legs: string[], options: PlanOptions) => {
    const { plan } = await import("./plan.ts");
    await plan(legs, options);
  });

program
  .command("doctor")
  .description("Check this machine's modules, server, mirrors and log devices, and say what to do. Needs root.")
  .option("--json", "print the findings as one JSON array")
  .option("--runtime-dir <directory>", "the server's runtime directory", RUNTIME_DIRECTORY_DEFAULT)
  .addHelpText("after", "\nExit status: 0 all is fine, 1 there is advice, 2 something does not work.")
  .action(async (options: DoctorOptions) => {
    const { doctor } = await import("./doctor.ts");
    process.exitCode = await doctor(options);
  });

program
  .command("report")
  .description("Collect what a bug report needs in one file, and say what is in it. Needs root for most of it.")
  .argument("[file]", "the file, a .tar.gz (default: dm-ulog-report-TIME.tar.gz in this folder)")
  .option("--runtime-dir <directory>", "the server's runtime directory", RUNTIME_DIRECTORY_DEFAULT)
  .addOption(mirrorsDir())
  .addHelpText(
    "after",
    "\nVersions, status, tables of mirrors, files that declare mirrors, the doctor's findings, the server's log, and its last events\n" +
      "(as record --save). Nothing of the data on mirrors. It works also where the server is dead or hangs.",
  )
  .action(async (file: string | undefined, options: ReportPlaces) => {
    const { report } = await import("./report.ts");
    await report(file, options);
  });

program.commandsGroup("Commands:");

program
  .command("replay")
  .description("Feed a recorded trace to the core and compare every byte of its output with the recording.")
  .argument(
    "<files...>",
    "trace files, each replayed by itself; one that goes on where another ends is replayed together with that",
  )
  .option("--core <file>", "use this build of the core (a dm-ulog.wasm) instead of the installed one")
  .option("--model", "also judge the recording by the rules of the protocol; takes some four times as long")
  .option("--json", "print one JSON object")
  .addHelpText(
    "after",
    "\nThe rules are those of docs/protocol-rules.md. Only what follows the beginning of a server can be judged by them.\n" +
      "Exit status: 0 every output is as recorded, 1 an output differs or breaks a rule (the first one of each file is shown), 2 a\n" +
      "trace cannot be replayed.",
  )
  .action(async (files: string[], options: ReplayOptions) => {
    const { replay } = await import("./replay.ts");
    process.exitCode = await replay(files, options);
  });

program
  .command("inspect")
  .description("Show a trace in words, or the header and regions of a log device.")
  .argument("<file>", "a trace file, a log device, or a copy of a log device; the content decides")
  .option("--log <uuid|luid>", "only events of this log")
  .option(
    "--type <name>",
    "only requests of this type, such as MARK_REGION; or COMPLETION, TICK, RESTORE, CONFIGURE, FORGET",
  )
  .option("--region <number>", "only requests that name this region, or are told to resync it", wholeNumber)
  .option(
    "--from <event|time>",
    "start at this event (3:252; 252 alone where one section has it) or time (1.5s, 20ms)",
    position,
  )
  .option("--to <event|time>", "stop after this event or time", position)
  .option("--errors", "only refused requests, failed effects and traps of the core")
  .option("--limit <number>", "show at most this many events", positive)
  .addOption(clock())
  .option("--follow", "go on as the file grows, until Ctrl-C; also in the file that takes its place")
  .option("--stats", "show figures instead: requests and their waiting times, marks per flush, bytes written")
  .option("--json", "print one JSON object, or one for each event (docs/trace-json.md describes it)")
  .addHelpText("after", "\nExit status: 0, or 2 if the file is neither a trace nor a log device, or cannot be read.")
  .action(async (file: string, options: InspectOptions) => {
    const { inspect } = await import("./inspect.ts");
    process.exitCode = await inspect(file, options);
  });

program
  .command("why")
  .description(
    "Tell why a region was dirty and why it was resynced: replay a trace and put each change into a sentence.",
  )
  .argument("<file>", "a trace file")
  .requiredOption("--region <number>", "the region, counted from 0", wholeNumber)
  .option(
    "--log <uuid|luid>",
    "the log, if the trace has several; a luid tells of this one of the mirror's tables alone",
  )
  .option("--core <file>", "the core that recorded the trace, if it is not the installed one")
  .addOption(clock())
  .option("--all", "show all marks, clears and writes, also of a long row")
  .option("--json", "print one JSON object for each sentence (docs/trace-json.md describes it)")
  .addHelpText(
    "after",
    `
An address such as 3:252 names event 252 of the trace's section 3. Causes are what was recorded: where a trace does not tell,
the sentence says so.
Exit status: 0, or 2 if the file is no trace, or the log or the region does not exist.`,
  )
  .action(async (file: string, options: WhyOptions) => {
    const { why } = await import("./why.ts");
    process.exitCode = await why(file, options);
  });

program
  .command("adopt")
  .helpGroup(ADMINISTRATION)
  .description(
    "Say whose log a device holds: a mirror whose UUID has changed goes on with its log, and is not resynced.",
  )
  .argument("<device>", "a log device that no mirror uses")
  .argument("<uuid>", "the UUID of the log, as the mirror's table line names it")
  .addHelpText(
    "after",
    `
A server believes a log that names its own mirror, and one that names nobody. dm-ulog inspect <device> shows the name.
Exit status: 0, or 2 if the device holds no log or cannot be changed.`,
  )
  .action(async (device: string, uuid: string) => {
    const { adopt } = await import("./adopt.ts");
    process.exitCode = await adopt(device, uuid);
  });

const trace = program
  .command("trace")
  .description("Cut, merge or compare trace files, or locate the dissector for Wireshark.");

trace
  .command("cut")
  .description("Write a part of a trace, with the state at its beginning, to a trace file of its own.")
  .argument("<file>", "a trace file")
  .option(
    "--from <event|time>",
    "start at this event (3:252; 252 alone where one section has it) or time (1.5s, 20ms)",
    position,
  )
  .option("--to <event|time>", "stop after this event or time", position)
  .option("--core <file>", "the core that recorded the trace, if it is not the installed one")
  .requiredOption("-o, --output <file>", "file to write; must not be the input file")
  .action(async (file: string, options: CutOptions) => {
    const { cutTrace } = await import("./trace.ts");
    process.exitCode = await cutTrace(file, options);
  });

trace
  .command("merge")
  .description("Merge the files of a recording into one trace, with each event once and in order.")
  .argument("<files...>", "trace files, in any order")
  .requiredOption("-o, --output <file>", "file to write; must not be an input file")
  .action(async (files: string[], options: { output: string }) => {
    const { mergeTraces } = await import("./trace.ts");
    process.exitCode = await mergeTraces(files, options);
  });

trace
  .command("diff")
  .description("Find where two traces part: the first event whose inputs differ, or whose inputs had other effects.")
  .argument("<a>", "a trace file")
  .argument("<b>", "another one, of another run or another core")
  .option("--ignore-times", "compare without the times of events, and without when the core wants to be woken")
  .option("--core <file>", "a core that takes the snapshots in them, if it is not the installed one")
  .option("--json", "print one JSON object")
  .addHelpText(
    "after",
    `
Events are compared from the beginning on, one by one: cut both traces to the same first event if they begin at different ones.
Exit status: 0 the traces are the same, 1 they part, 2 one of them cannot be used.`,
  )
  .action(async (a: string, b: string, options: DiffOptions) => {
    const { diffTraces } = await import("./trace-diff.ts");
    process.exitCode = await diffTraces(a, b, options);
  });

trace
  .command("dissector")
  .description("Print the path of the dissector for Wireshark and tshark, for -X lua_script:FILE.")
  .addHelpText("after", '\nFor example:\n  tshark -X lua_script:"$(dm-ulog trace dissector)" -r FILE')
  .action(() => console.log(dissectorPath()));

program
  .command("view")
  .description("Show a simulated machine or a trace in a browser, event by event. Serves the page until Ctrl-C.")
  .argument("[file]", "a trace file (default: the simulation)")
  .option("--port <number>", "port of 127.0.0.1 to serve the page on; 0 for any free port", portNumber, 0)
  .option("--live", "show what the running server does instead. Needs root")
  .option("--address <address>", "with --live: IP address of this machine to serve the page on", ipAddress, LOOPBACK)
  .option("--runtime-dir <directory>", "with --live: the server's runtime directory", RUNTIME_DIRECTORY_DEFAULT)
  .addHelpText(
    "after",
    "\nThe live view reads the server's flight recorder and never delays the kernel. Everybody who can reach its address sees\n" +
      "the names of logs and which regions are written.",
  )
  .action(async (file: string | undefined, options: ViewOptions & LiveOptions & { live?: true }) => {
    if (options.live === true) {
      const { live } = await import("./look.ts");
      await live(options);
      return;
    }
    const { view } = await import("./view.ts");
    await view(file, options);
  });

program
  .command("metrics")
  .helpGroup(ADMINISTRATION)
  .description("Serve the running server's metrics for Prometheus on a port of 127.0.0.1, until Ctrl-C. Needs root.")
  .option("--port <number>", "port of 127.0.0.1", portNumber, METRICS_PORT_DEFAULT)
  .option("--runtime-dir <directory>", "the server's runtime directory", RUNTIME_DIRECTORY_DEFAULT)
  .addOption(mirrorsDir())
  .action(async (options: MetricsOptions) => {
    const { metrics } = await import("./look.ts");
    await metrics(options);
  });

program
  .command("demo")
  .description("Show a mirror's life on a simulated kernel: resync, writes, a crash, and back.")
  .option("--seed <number>", "seed of the random numbers; another seed gives another life", wholeNumber, 1)
  .addHelpText("after", "\nOn a terminal it then serves the page that shows such lives in a browser, until Ctrl-C.")
  .action(async (options: { seed: number }) => {
    const { demo } = await import("./demo.ts");
    await demo({ ...options, out: process.stdout });
    if (process.stdin.isTTY && process.stdout.isTTY) {
      const { view } = await import("./view.ts");
      console.log("\nWatch such a life event by event in a browser:");
      await view(undefined, { port: 0 });
    } else console.log("\nSuch a life event by event, in a browser: dm-ulog view");
  });

program
  .command("simulate")
  .description("Run random lives of mirrors on the simulated kernel and check that no write is ever lost.")
  .option("--seed <number>", "the first seed", wholeNumber, 1)
  .option("--seeds <number>", "number of seeds to run, one after the other", wholeNumber, 1)
  .option("--events <number>", "simulated events for each seed", wholeNumber, 100_000)
  .option(
    "--core <build|file>",
    "which core to run: release; small, which has tiny limits and is not part of the package; or a file of your own",
    "release",
  )
  .option(
    "--fault <name>",
    "add a deliberate fault, which the checks must find, or the policy of another server; `list` names them",
  )
  .option("--trace-directory <directory>", "where to write the trace of a life that fails", ".")
  .option("--trace <file>", "also write the trace of the first seed's life, whether it fails or not")
  .option("--shrink", "reduce a life that fails to the smallest one that fails in the same way")
  .option("--shrink-seconds <number>", "time limit for --shrink", positive, 120)
  .option("--replay-choices <file>", "run a life again that --shrink has written")
  .action(async (options: Omit<SimulateOptions, "out">) => {
    const { simulate } = await import("./simulate.ts");
    process.exitCode = await simulate({ ...options, out: process.stdout });
  });

program
  .command("conformance")
  .description(
    "Drive a program that embeds the core through inputs, failures and restarts, and say what it does wrong.",
  )
  .argument("[program...]", "the program and its arguments; a directory for its state files is added as the last one")
  .option("--only <case...>", "run these cases only; put -- before the program")
  .option("--list", "list the cases")
  .option("--seed <number>", "seed of what is drawn: moments to kill at, random lives", wholeNumber, 1)
  .option("--seeds <number>", "number of seeds to run, one after the other", positive, 1)
  .option("--time-limit <seconds>", "how long the program may be silent", positive, 10)
  .option("--core <file>", "the core that the program embeds (a dm-ulog.wasm), if it is not the installed one")
  .option("--json", "print one JSON object")
  .passThroughOptions()
  .addHelpText(
    "after",
    `
The program speaks frames on its standard input and output: docs/conformance.md describes them.
Exit status: 0 it has passed every case, 1 it has not, 2 no case could be run.

For example:
  dm-ulog conformance ./my-host --pipes
  dm-ulog conformance --only slow-write --seed 7 -- ./my-host --pipes`,
  )
  .action(async (words: string[], options: ConformanceOptions) => {
    const { conformance } = await import("./conformance.ts");
    process.exitCode = await conformance(words, options);
  });

program
  .command("completion")
  .description("Print a script that makes a shell complete commands and options with the tab key.")
  .addArgument(new Argument("<shell>", "name of the shell").choices(["bash", "zsh", "fish"]))
  .addHelpText(
    "after",
    `
For example:
  source <(dm-ulog completion bash)    in ~/.bashrc
  source <(dm-ulog completion zsh)     in ~/.zshrc, below compinit
  dm-ulog completion fish | source     in ~/.config/fish/config.fish`,
  )
  .action(async (shell: Shell) => {
    const { completion } = await import("./completion/completion.ts");
    endQuietly(process.stdout);
    process.stdout.write(completion(program, shell));
  });

// For the build: the pages go into the package.
program
  .command("manual", { hidden: true })
  .argument("<directory>")
  .action(async (directory: string) => {
    const { writeManual } = await import("./manual.ts");
    writeManual(program, packageVersion(), directory);
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(`dm-ulog: ${(error as Error).message}`);
  process.exitCode = 1;
}
