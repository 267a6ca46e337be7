// The commands about mirrors that files declare.

import { type Command, InvalidArgumentError, Option } from "commander";
import { LOG_FAILURES } from "../node/mirrors/mirror-file.ts";
import { MIRRORS_DIRECTORY_DEFAULT } from "../node/mirrors/mirror-files.ts";
import type { ChangeLogOptions, ChangeOptions, GrowOptions } from "./changes.ts";
import type { CreateOptions } from "./create.ts";
import { LEG_FAILURE_HELP, legFailure } from "./leg-failure-option.ts";
import type { DownOptions, MirrorsOptions, UpOptions } from "./mirrors.ts";
import type { MonitorOptions } from "./monitor.ts";

const MONITOR_HELP = `
Events: leg-failed, spare-taken, leg-returned, in-sync, log-failed, log-reopened, log-in-memory, resync-stuck, test.
A leg that failed is written into the mirror's file as behind: it is copied to, never from, until the mirror is in sync.
It overwrites nothing but legs and spares that the file names.

For example, with systemd:
  dm-ulog unit --monitor | sudo tee /etc/systemd/system/dm-ulog-monitor.service && sudo systemctl enable --now dm-ulog-monitor`;

function seconds(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value === 0 || value > 86_400) {
    throw new InvalidArgumentError("Give a whole number of seconds from 1 to 86400.");
  }
  return value;
}

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
    .option("--no-boot", "do not have systemd bring it up at boot")
    .option("--force", "take devices that are in use or hold something")
    .option("--dry-run", "show the file and the table, and do nothing")
    .addOption(mirrorsDir())
    .addHelpText(
      "after",
      `
${LEG_FAILURE_HELP}

The devices are checked as dm-ulog table checks them. In the file they have the names that stay (/dev/disk/by-id).

Where systemd runs, the unit dm-ulog-mirror@NAME brings the mirror up at each boot, before what is mounted from it: a line with
/dev/mapper/NAME in /etc/fstab is all that a file system or swap on it needs.

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
    .option("--degraded", "do without legs that are not there, if one is that has missed nothing")
    .option("--wait <duration>", "wait this long for devices, and for a server, that are not there yet: 90s, 5m")
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
    .option("--wait <duration>", "wait this long until nobody uses them: 90s, 5m")
    .addOption(mirrorsDir())
    .addHelpText("after", "\nExit status: 0, or 1 if one of them is in use or could not be taken down.")
    .action(async (names: string[], options: DownOptions) => {
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

  program
    .command("monitor")
    .description(
      "Watch the mirrors that are declared, tell what happens to them, and do what their files allow. Needs root.",
    )
    .option("--interval <seconds>", "look this often, apart from the kernel's events", seconds, 5)
    .option(
      "--retry <seconds>",
      "wait this long before the first try to take back what failed; each further one waits twice as long",
      seconds,
      10,
    )
    .option("--program <file>", "program to call with each event of all mirrors: PROGRAM EVENT NAME [DEVICE]")
    .option("--test", "call the programs with the event test for each mirror, and end")
    .addOption(mirrorsDir())
    .addHelpText("after", MONITOR_HELP)
    .action(async (options: MonitorOptions) => {
      const { monitor } = await import("./monitor.ts");
      await monitor(options);
    });

  const changes = (command: Command) =>
    command
      .option("--dry-run", "say what would be done, and do nothing")
      .addOption(mirrorsDir())
      .addHelpText(
        "after",
        "\nPrograms go on meanwhile. If this is cut off, the mirror is the old one or the new one, and dm-ulog up says which.",
      );
  const overwrite = () => new Option("--force", "take a device that is in use or holds something");

  changes(
    program
      .command("replace")
      .description("Put a device in the place of a mirror's leg, while the mirror is in use. Needs root.")
      .argument("<name>", "name of the mirror")
      .argument("<old>", "the leg to take out")
      .argument("<new>", "the device to take its place, which is overwritten")
      .addOption(overwrite()),
  ).action(async (name: string, old: string, device: string, options: ChangeOptions) => {
    const { replaceLeg } = await import("./changes.ts");
    await replaceLeg(name, old, device, options);
  });

  changes(
    program
      .command("add-leg")
      .description("Give a mirror one leg more, while it is in use. Needs root.")
      .argument("<name>", "name of the mirror")
      .argument("<device>", "the new leg, which is overwritten")
      .addOption(overwrite()),
  ).action(async (name: string, device: string, options: ChangeOptions) => {
    const { addLeg } = await import("./changes.ts");
    await addLeg(name, device, options);
  });

  changes(
    program
      .command("drop-leg")
      .description("Take a leg out of a mirror of three or more, while it is in use. Needs root.")
      .argument("<name>", "name of the mirror")
      .argument("<leg>", "the leg to take out, which keeps what it holds"),
  ).action(async (name: string, leg: string, options: ChangeOptions) => {
    const { dropLeg } = await import("./changes.ts");
    await dropLeg(name, leg, options);
  });

  changes(
    program
      .command("grow")
      .description("Make a mirror larger, up to the size of its smallest leg, while it is in use. Needs root.")
      .argument("<name>", "name of the mirror")
      .option("--size <size>", "size of the mirror (default: size of its shortest leg)"),
  ).action(async (name: string, options: GrowOptions) => {
    const { grow } = await import("./changes.ts");
    await grow(name, options);
  });

  changes(
    program
      .command("change-log")
      .description("Keep a mirror's log on another device, or in memory, while the mirror is in use. Needs root.")
      .argument("<name>", "name of the mirror")
      .argument("[device]", "device or file for the log, which is overwritten")
      .option("--memory", "keep the log in memory"),
  ).action(async (name: string, device: string | undefined, options: ChangeLogOptions) => {
    const { changeLog } = await import("./changes.ts");
    await changeLog(name, device, options);
  });
}
