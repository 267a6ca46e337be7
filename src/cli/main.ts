#!/usr/bin/env node
// The dm-ulog command: what a person types, and the sentences they get back.

import { Command, InvalidArgumentError } from "commander";
import { RUNTIME_DIRECTORY_DEFAULT } from "../node/runtime-paths.ts";
import { packageVersion } from "./installation.ts";
import { serve } from "./serve.ts";
import type { SimulateOptions } from "./simulate.ts";
import { status } from "./status.ts";
import { type TableOptions, tableLine } from "./table.ts";

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

function blockSize(text: string): number {
  const value = wholeNumber(text);
  if (![4096, 8192, 16384, 32768, 65536].includes(value)) throw new InvalidArgumentError("Give one of those sizes.");
  return value;
}

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
  .action(serve);

program
  .command("status")
  .description("Show every log of the running server: how much is in sync, dirty and out of sync. Needs root.")
  .option("--watch", "keep showing, with a progress bar for each log on a terminal")
  .option("--json", "for programs: one JSON object (with --watch: one line whenever something changed)")
  .option("--runtime-dir <directory>", "where the server's status socket is", RUNTIME_DIRECTORY_DEFAULT)
  .action(status);

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
  .command("demo")
  .description("Show a mirror's life on a simulated kernel: resync, writes, a crash, and back.")
  .option("--seed <number>", "another seed is another life", wholeNumber, 1)
  .action(async (options: { seed: number }) => {
    const { demo } = await import("./demo.ts");
    await demo({ ...options, out: process.stdout });
  });

program
  .command("simulate")
  .description("Run random lives of mirrors on the simulated kernel and check that no write is ever lost.")
  .option("--seed <number>", "the first seed", wholeNumber, 1)
  .option("--seeds <number>", "how many seeds, one after the other", wholeNumber, 1)
  .option("--events <number>", "simulated events for each seed", wholeNumber, 100_000)
  .option("--fault <name>", "put in a deliberate fault, which must be found; `list` names them")
  .option("--trace-directory <directory>", "where the trace of a life that fails is written", ".")
  .option("--trace <file>", "write the trace of the first seed's life too, whether it fails or not")
  .option("--shrink", "cut a life that fails to the smallest that fails in the same way")
  .option("--replay-choices <file>", "live a life that --shrink has written once more")
  .action(async (options: Omit<SimulateOptions, "out">) => {
    const { simulate } = await import("./simulate.ts");
    process.exitCode = await simulate({ ...options, out: process.stdout });
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(`dm-ulog: ${(error as Error).message}`);
  process.exitCode = 1;
}
