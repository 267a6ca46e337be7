#!/usr/bin/env node
// The dm-ulog command: what a person types, and the sentences they get back.

import { isIP } from "node:net";
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { FLIGHT_BYTES_DEFAULT, FLIGHT_BYTES_MAX, FLIGHT_BYTES_MIN } from "../node/flight-sizes.ts";
import { RUNTIME_DIRECTORY_DEFAULT } from "../node/runtime-paths.ts";
import { LIVE_PORT_DEFAULT, LOOPBACK } from "../node/web/defaults.ts";
import type { DoctorOptions } from "./doctor.ts";
import type { InspectOptions } from "./inspect.ts";
import { dissectorPath, packageVersion } from "./installation.ts";
import type { PlanOptions } from "./plan.ts";
import { type RecordOptions, record } from "./record.ts";
import type { ReplayOptions } from "./replay.ts";
import { serve } from "./serve.ts";
import type { SimulateOptions } from "./simulate.ts";
import { parseBytes } from "./sizes.ts";
import { status } from "./status.ts";
import { type TableOptions, tableLine } from "./table.ts";
import type { CutOptions } from "./trace.ts";
import { type Position, parsePosition } from "./trace-position.ts";
import type { ViewOptions } from "./view.ts";

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

function position(text: string): Position {
  const parsed = parsePosition(text);
  if (parsed === null)
    throw new InvalidArgumentError("Give the number of an event, or a time such as 1.5s, 20ms or 7us.");
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
  new Option("--record-size <size>", "begin another file when one has so much; FILE becomes FILE.1, that FILE.2, …")
    .default(256 * 1024 * 1024, "256M")
    .argParser(bytes);
const recordFiles = () =>
  new Option("--record-files <number>", "keep so many files; the oldest goes").default(8).argParser(positive);

const program = new Command("dm-ulog")
  .description("Keeps the dirty log of device-mapper mirrors for the Linux kernel (dm-log-userspace).")
  .version(packageVersion())
  .showHelpAfterError("(dm-ulog --help tells the commands)")
  .configureHelp({ showGlobalOptions: true });

program
  .command("serve")
  .description("Answer this machine's kernel, in the foreground, until SIGTERM. Needs root and dm-log-userspace.")
  .option("--runtime-dir <directory>", "where the lock and the status socket are", RUNTIME_DIRECTORY_DEFAULT)
  .option("--quiet-time <ms>", "tell a log device of a clear when its region was left alone this long", positive, 3000)
  .option(
    "--lazy-regions <number>",
    "tell it at once when so many clears wait: each is resynced after a power cut",
    positive,
    65536,
  )
  .option("--block-size <bytes>", "write so much of a log at once: 4096, 8192, 16384, 32768 or 65536", blockSize, 4096)
  .option("--record <file>", "record all that the engine sees and says, for dm-ulog replay and inspect")
  .addOption(recordSize())
  .addOption(recordFiles())
  .addOption(
    new Option(
      "--flight-recorder <size>",
      "memory for the last events, kept for the day something goes wrong; 0 for none",
    )
      .default(FLIGHT_BYTES_DEFAULT, "16M")
      .argParser(flightBytes),
  )
  .option(
    "--crash-directory <directory>",
    "where the last events are put when the server fails (in the runtime directory)",
  )
  .option("--metrics <port>", "serve metrics for Prometheus on this port of 127.0.0.1 too", portNumber)
  .addOption(
    new Option(
      "--log-format <format>",
      "plain for people, journal with priorities, json: one object a line (journal where systemd's journal listens)",
    ).choices(["plain", "journal", "json"]),
  )
  .option("--view [port]", `serve a page that shows what the engine does (port ${LIVE_PORT_DEFAULT})`, portNumber)
  .option("--view-address <address>", "an IP address of this machine to serve it at", ipAddress, LOOPBACK)
  .addHelpText(
    "after",
    "\nThe view is only to be looked at, and never delays the kernel. Whoever reaches its address sees names of logs and\n" +
      "which regions are written: every user of this machine, and with --view-address more than those.",
  )
  .action(serve);

program
  .command("status")
  .description("Show every log of the running server: how much is in sync, dirty and out of sync. Needs root.")
  .option("--watch", "keep showing, with a progress bar for each log on a terminal")
  .option("--json", "for programs: one JSON object (with --watch: one line whenever something changed)")
  .option("--runtime-dir <directory>", "where the server's status socket is", RUNTIME_DIRECTORY_DEFAULT)
  .action(status);

program
  .command("record")
  .description("Have the running server record all that its engine sees and says, from now on. Needs root.")
  .argument("[file]", "where to record to; a trace that is there becomes FILE.1")
  .option("--stop", "end the recording")
  .option("--save <file>", "write the last events instead, which the server always keeps in its flight recorder")
  .addOption(recordSize())
  .addOption(recordFiles())
  .option("--runtime-dir <directory>", "where the server's control socket is", RUNTIME_DIRECTORY_DEFAULT)
  .addHelpText(
    "after",
    "\nA file is a pcapng trace: Wireshark opens it, dm-ulog replay feeds it to an engine again, dm-ulog inspect tells\n" +
      "it in words. When the disk is full or too slow, events are missing from the file, and the server's log says so;\n" +
      "the kernel never waits for a recording.",
  )
  .action((file: string | undefined, options: RecordOptions) => record(file, options));

program
  .command("table")
  .description("Print the dmsetup table line of a mirror whose log dm-ulog keeps.")
  .argument("<legs...>", "the mirror's devices, the one to copy from first; an offset may follow: /dev/sda:2048s")
  .option("--region-size <size>", "what one bit of the log stands for: a power of two", "512K")
  .option("--length <size>", "size of the mirror; left out, that of its shortest leg")
  .option("--uuid <name>", "the log's name; left out, a random one")
  .option("--log-device <device>", "keep the log on this device or file, so that it survives a power cut")
  .option("--log-type <type>", "clustered-core or core; with a log device clustered-disk or disk")
  .option("--sync", "resync everything, whatever is known")
  .option("--nosync", "take the legs for identical: nothing is resynced")
  .option("--block-on-error", "hold writes when the log fails, as lvm2 asks for it")
  .option("--integrated-flush", "let a flush carry the marks: one round trip less for each write")
  .option("--no-handle-errors", "let the kernel fail writes instead of going on with fewer legs")
  .option("--keep-log", "go on with fewer legs without waiting for a daemon to act")
  .addHelpText(
    "after",
    '\nFor example:\n  sudo dmsetup create mymirror --table "$(dm-ulog table --integrated-flush /dev/sda /dev/sdb)"',
  )
  .action(async (legs: string[], options: TableOptions) => console.log(await tableLine(legs, options)));

program
  .command("plan")
  .description("Propose a region size for a mirror, what its log takes, and how long a resync after a crash may take.")
  .argument("[legs...]", "the mirror's devices, for the table line")
  .requiredOption("--size <size>", "size of the mirror, such as 20T")
  .requiredOption("--max-resync <duration>", "how long a resync after a crash may take: 90s, 5m, 2h, 1d")
  .option("--resync-rate <size>", "what the kernel copies from leg to leg in a second", "200M")
  .option("--writes <number>", "different regions that are written to in a second, at most", positive, 10_000)
  .option("--quiet-time <ms>", "the server's --quiet-time", positive, 3000)
  .option("--lazy-regions <number>", "the server's --lazy-regions", positive, 65536)
  .option("--log-device <device>", "the log device, for the table line", "/dev/LOG")
  .option("--json", "for programs: one JSON object; sizes in bytes or sectors, times in seconds")
  .action(async (legs: string[], options: PlanOptions) => {
    const { plan } = await import("./plan.ts");
    await plan(legs, options);
  });

program
  .command("doctor")
  .description("Look at this machine: modules, server, mirrors and their log devices, and say what to do. Needs root.")
  .option("--json", "for programs: one array of findings")
  .option("--runtime-dir <directory>", "where the server's lock and status socket are", RUNTIME_DIRECTORY_DEFAULT)
  .addHelpText("after", "\nExit status: 0 all is fine, 1 there is advice, 2 something does not work.")
  .action(async (options: DoctorOptions) => {
    const { doctor } = await import("./doctor.ts");
    process.exitCode = await doctor(options);
  });

program
  .command("replay")
  .description("Feed recorded conversations to the core and compare every byte that comes out with what was recorded.")
  .argument("<files...>", "trace files; those of one recording in any order")
  .option("--core <file>", "another build of the core than the installed one: a dm-ulog.wasm")
  .option("--json", "for programs: one JSON object")
  .addHelpText(
    "after",
    "\nExit status: 0 all is as recorded, 1 something is not (the first such event is shown), 2 this cannot be told.",
  )
  .action(async (files: string[], options: ReplayOptions) => {
    const { replay } = await import("./replay.ts");
    process.exitCode = await replay(files, options);
  });

program
  .command("inspect")
  .description("Show what a trace holds, in words, or the header and the regions of a log device.")
  .argument("<file>", "a trace file, or a log device or a copy of one: its content tells which")
  .option("--log <uuid>", "only events of this log")
  .option("--type <name>", "only requests of this type, as MARK_REGION; or COMPLETION, TICK, RESTORE, CONFIGURE")
  .option("--from <event|time>", "from this event on (1200), or from this time on (1.5s, 20ms)", position)
  .option("--to <event|time>", "up to this event or time, which is shown too", position)
  .option("--errors", "only events with an answer that refuses, an effect that failed, or a trap of the core")
  .option("--limit <number>", "no more than so many events", positive)
  .option("--stats", "figures instead: requests and how long they waited, marks per flush, what was written")
  .option("--json", "for programs: one JSON object, or one for each event")
  .addHelpText("after", "\nExit status: 0, or 2 where the file is neither or cannot be read.")
  .action(async (file: string, options: InspectOptions) => {
    const { inspect } = await import("./inspect.ts");
    process.exitCode = await inspect(file, options);
  });

const trace = program
  .command("trace")
  .description("Cut trace files, put them together, find the dissector for Wireshark.");

trace
  .command("cut")
  .description("Write a part of a trace as a trace of its own, with the state that it begins with.")
  .argument("<file>", "a trace file")
  .option("--from <event|time>", "its first event (1200), or the time from which on (1.5s, 20ms)", position)
  .option("--to <event|time>", "its last event, or the time up to which", position)
  .option("--core <file>", "the core that it was recorded with, where that is not the installed one")
  .requiredOption("-o, --output <file>", "where to write; not the file itself")
  .action(async (file: string, options: CutOptions) => {
    const { cutTrace } = await import("./trace.ts");
    process.exitCode = await cutTrace(file, options);
  });

trace
  .command("merge")
  .description("Put the files of a recording together, each event once, in order.")
  .argument("<files...>", "trace files, in any order")
  .requiredOption("-o, --output <file>", "where to write; none of the files themselves")
  .action(async (files: string[], options: { output: string }) => {
    const { mergeTraces } = await import("./trace.ts");
    process.exitCode = await mergeTraces(files, options);
  });

trace
  .command("dissector")
  .description("Print where the dissector for Wireshark and tshark is: -X lua_script:FILE.")
  .addHelpText("after", '\nFor example:\n  tshark -X lua_script:"$(dm-ulog trace dissector)" -r FILE')
  .action(() => console.log(dissectorPath()));

program
  .command("view")
  .description("Show the protocol in a browser, event by event: a simulated machine, or a trace. Until Ctrl-C.")
  .argument("[file]", "a trace file; left out, the simulation")
  .option("--port <number>", "where on this machine the page is served (any that is free)", portNumber, 0)
  .addHelpText("after", "\nA live server is shown by dm-ulog serve --view.")
  .action(async (file: string | undefined, options: ViewOptions) => {
    const { view } = await import("./view.ts");
    await view(file, options);
  });

program
  .command("demo")
  .description("Show a mirror's life on a simulated kernel: resync, writes, a crash, and back.")
  .option("--seed <number>", "another seed is another life", wholeNumber, 1)
  .addHelpText(
    "after",
    "\nOn a terminal it goes on to serve the page that shows such lives in a browser, until Ctrl-C.",
  )
  .action(async (options: { seed: number }) => {
    const { demo } = await import("./demo.ts");
    await demo({ ...options, out: process.stdout });
    if (process.stdin.isTTY && process.stdout.isTTY) {
      const { view } = await import("./view.ts");
      console.log("\nSuch a life event by event, in a browser:");
      await view(undefined, { port: 0 });
    } else console.log("\nSuch a life event by event, in a browser: npx dm-ulog view");
  });

program
  .command("simulate")
  .description("Run random lives of mirrors on the simulated kernel and check that no write is ever lost.")
  .option("--seed <number>", "the first seed", wholeNumber, 1)
  .option("--seeds <number>", "how many seeds, one after the other", wholeNumber, 1)
  .option("--events <number>", "simulated events for each seed", wholeNumber, 100_000)
  .option(
    "--fault <name>",
    "put in a deliberate fault, which must be found, or another server's policy; `list` names them",
  )
  .option("--trace-directory <directory>", "where the trace of a life that fails is written", ".")
  .option("--trace <file>", "write the trace of the first seed's life too, whether it fails or not")
  .option("--shrink", "cut a life that fails to the smallest that fails in the same way")
  .option("--shrink-seconds <number>", "how long that may take", positive, 120)
  .option("--replay-choices <file>", "live a life that --shrink has written once more")
  .action(async (options: Omit<SimulateOptions, "out">) => {
    const { simulate } = await import("./simulate.ts");
    process.exitCode = await simulate({ ...options, out: process.stdout });
  });

program
  .command("completion")
  .description("Print what makes a shell complete commands and options at the tab key.")
  .addArgument(new Argument("<shell>", "which shell").choices(["bash"]))
  .addHelpText("after", "\nFor example, in ~/.bashrc:\n  source <(dm-ulog completion bash)")
  .action(async () => {
    const { bashCompletion } = await import("./completion.ts");
    process.stdout.write(bashCompletion(program));
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
