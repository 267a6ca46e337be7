// The commands about mirrors that files declare.

import { type Command, Option } from "commander";
import { LOG_FAILURES } from "../node/mirrors/mirror-file.ts";
import { MIRRORS_DIRECTORY_DEFAULT } from "../node/mirrors/mirror-files.ts";
import type { CreateOptions } from "./create.ts";
import { LEG_FAILURE_HELP, legFailure } from "./leg-failure-option.ts";
import type { MirrorsOptions, SomeMirrorsOptions, UpOptions } from "./mirrors.ts";

export function addMirrorCommands(program: Command): void {
  const mirrorsDir = () =>
    new Option("--mirrors-dir <directory>", "folder of the files that declare mirrors").default(
      MIRRORS_DIRECTORY_DEFAULT,
    );
  const all = () => new Option("--all", "all mirrors that are declared");

  program
    .command("create")
    .description("Declare a mirror in a file and bring it up as /dev/mapper/NAME. Needs root.")
    .argument("<name>", "name of the mirror")
    .argument("<legs...>", "the mirror's legs, first the one to copy from; an offset may follow: /dev/sda:2048s")
    .option("--region-size <size>", "size of a region, which is one bit of the log; a power of two", "512K")
    .option("--length <size>", "size of the mirror (default: size of its shortest leg)")
    .option("--uuid <name>", "name of the log (default: a random name)")
    .option("--log-device <device>", "keep the log on this device or file, so that it survives a power cut")
    .option("--log-type <type>", "clustered-core or core; with a log device clustered-disk or disk")
    .option("--sync", "resync everything now, whatever the log says")
    .option("--nosync", "treat the legs as identical now and resync nothing")
    .option("--block-on-error", "hold writes when the log fails; lvm2 sets this")
    .option("--no-integrated-flush", "send marks apart from the flush, which costs one round trip more for each write")
    .addOption(legFailure())
    .option(
      "--spare <device>",
      "a device that may be overwritten to take the place of a leg that failed; may be given several times",
      (device: string, before: string[]) => [...before, device],
      [],
    )
    .option("--no-take-back", "do not copy to a leg that failed and is there again")
    .addOption(
      new Option("--log-failure <what>", "what the monitor does when the log device fails")
        .choices([...LOG_FAILURES])
        .default("reopen"),
    )
    .option("--program <file>", "program to call with each event, as mdadm does: PROGRAM EVENT NAME [DEVICE]")
    .option("--force", "take devices that are in use or hold something")
    .option("--dry-run", "show the file and the table, and do nothing")
    .addOption(mirrorsDir())
    .addHelpText(
      "after",
      `
${LEG_FAILURE_HELP}

The devices are checked as dm-ulog table checks them. In the file they have the names that stay (/dev/disk/by-id).

For example:
  sudo dm-ulog create data /dev/sda /dev/sdb --log-device /dev/sdc1 && sudo mkfs.ext4 /dev/mapper/data`,
    )
    .action(async (name: string, legs: string[], options: CreateOptions) => {
      const { create } = await import("./create.ts");
      await create(name, legs, options);
    });

  program
    .command("up")
    .description("Bring mirrors up as their files declare them. Needs root.")
    .argument("[names...]", "names of mirrors")
    .addOption(all())
    .option("--wait <duration>", "wait this long for devices that are not there yet: 90s, 5m")
    .addOption(mirrorsDir())
    .addHelpText(
      "after",
      "\nA mirror that is up as declared stays as it is; one that differs stays too, and what differs is told.\nExit status: 0, or 1 if one of them could not be brought up.",
    )
    .action(async (names: string[], options: UpOptions) => {
      const { up } = await import("./mirrors.ts");
      process.exitCode = await up(names, options);
    });

  program
    .command("down")
    .description("Take mirrors down. Their files stay, and so does what their legs and logs hold. Needs root.")
    .argument("[names...]", "names of mirrors")
    .addOption(all())
    .addOption(mirrorsDir())
    .addHelpText("after", "\nExit status: 0, or 1 if one of them is in use or could not be taken down.")
    .action(async (names: string[], options: SomeMirrorsOptions) => {
      const { down } = await import("./mirrors.ts");
      process.exitCode = await down(names, options);
    });

  program
    .command("remove")
    .description("Take a mirror down and delete its file. Its legs keep what they hold. Needs root.")
    .argument("<name>", "name of the mirror")
    .addOption(mirrorsDir())
    .action(async (name: string, options: MirrorsOptions) => {
      const { remove } = await import("./mirrors.ts");
      await remove(name, options);
    });

  program
    .command("list")
    .description("Show the mirrors that are declared, and whether they are up. Needs root.")
    .addOption(mirrorsDir())
    .addHelpText("after", "\nExit status: 0, or 1 if a file cannot be read.")
    .action(async (options: MirrorsOptions) => {
      const { list } = await import("./mirrors.ts");
      process.exitCode = await list(options);
    });
}
