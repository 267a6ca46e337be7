/**
 * A machine that systemd boots and shuts down: the first process of a PID namespace, with udev, and with a root of its own. That root is the
 * host's file system under a layer on a disk of the guest (overlayfs), so what is written there is there after the next boot of the guest.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CommandResult, runCommand, tryCommand } from "./command.ts";

const LAYER = "/run/layer";
const ROOT = "/run/machine";
const TARGET = "machine.target";
const PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Of this machine's own: what it has no use for, what would empty /tmp, and what would change the guest's kernel for later scenarios. */
const MASKED = [
  ...["tmpfiles-setup", "tmpfiles-setup-dev", "tmpfiles-clean", "sysctl"].map((name) => `systemd-${name}.service`),
  ...["binfmt", "modules-load", "timesyncd", "random-seed", "update-utmp"].map((name) => `systemd-${name}.service`),
  ...["firstboot", "sysusers", "machine-id-commit", "repart", "pstore"].map((name) => `systemd-${name}.service`),
  ...["modprobe@.service", "kmod-static-nodes.service", "systemd-ask-password-console.path"],
  ...["lvm2-monitor.service", "lvm2-lvmpolld.socket", "blk-availability.service"],
  ...["proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount"],
  ...["sys-kernel-debug.mount", "sys-kernel-tracing.mount", "dev-hugepages.mount", "dev-mqueue.mount"],
];
/** On the guest's console, which the lab shows after a failure. */
const JOURNAL = "[Journal]\nStorage=volatile\nForwardToConsole=yes\n";
/** What the journal says in the shutdown. */
const SHUTDOWN_LOG = "var/log/shutdown";
const SHUTDOWN_LOG_SERVICE = "shutdown-log.service";
/** A process of another service would be stopped before the end. */
const SHUTDOWN_LOG_UNIT = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/local/bin/shutdown-log\n";
/** At the end systemd asks all to end at once, and then waits for them: the last lines must still be read. */
const SHUTDOWN_LOG_PROGRAM = `#!/bin/sh
trap "" TERM
journalctl --follow --no-tail --output=cat > /${SHUTDOWN_LOG} &
trap "sleep 1; kill -KILL $!; exit" TERM
wait
`;
const POLL_MS = 300;
const IDLE_LIMIT_MS = 100_000;
const SHUTDOWN_LIMIT_MS = 150_000;
const COMMAND_LIMIT_MS = 100_000;

export class BootedMachine {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** Makes the machine's layer on a disk, with these files in it: nothing of an earlier machine is left. */
  static async install(disk: string, files: Record<string, string>): Promise<void> {
    await runCommand("mkfs.ext4", ["-q", "-F", disk]);
    await mountRoot(disk);
    // A container has no devices, for systemd.
    rmSync(join(ROOT, ".dockerenv"), { force: true });
    const units = join(ROOT, "etc/systemd/system");
    for (const unit of MASKED) {
      rmSync(join(units, unit), { force: true });
      symlinkSync("/dev/null", join(units, unit));
    }
    const target = "[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\nAllowIsolate=yes\n";
    const own = {
      [`etc/systemd/system/${TARGET}`]: target,
      "etc/fstab": "",
      "etc/systemd/journald.conf.d/lab.conf": JOURNAL,
      [`etc/systemd/system/${SHUTDOWN_LOG_SERVICE}`]: SHUTDOWN_LOG_UNIT,
      "usr/local/bin/shutdown-log": SHUTDOWN_LOG_PROGRAM,
    };
    for (const [path, text] of Object.entries({ ...own, ...files })) {
      mkdirSync(dirname(join(ROOT, path)), { recursive: true });
      // Not into the layer's copy of a link.
      rmSync(join(ROOT, path), { force: true });
      writeFileSync(join(ROOT, path), text, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
    }
    await unmountRoot();
  }

  /** Boots it. Returns when all that its boot starts has been started, or has failed. */
  static async boot(disk: string): Promise<BootedMachine> {
    await mountRoot(disk);
    const script = `cd ${ROOT} && pivot_root . mnt && umount -l /mnt && exec /lib/systemd/systemd "$@"`;
    const systemd = ["--system", `--unit=${TARGET}`, "--log-target=console", "--log-color=no", "--show-status=yes"];
    const words = ["--pid", "--fork", "--kill-child", "--mount", "sh", "-c", script, "sh", ...systemd];
    const child = spawn("unshare", words, { stdio: ["ignore", "inherit", "inherit"], env: { PATH, TERM: "dumb" } });
    const machine = new BootedMachine(child);
    await machine.waitUntilIdle();
    return machine;
  }

  /** Waits until systemd starts and stops nothing more. */
  async waitUntilIdle(): Promise<void> {
    const deadline = Date.now() + IDLE_LIMIT_MS;
    for (;;) {
      await sleep(POLL_MS);
      const jobs = await this.tryRun("systemctl", "list-jobs", "--no-legend");
      if (jobs.exitCode === 0 && jobs.stdout.trim() === "") return;
      if (Date.now() > deadline) throw new Error(`systemd has not done: ${jobs.stdout}${jobs.stderr}`);
    }
  }

  run(...words: string[]): Promise<string> {
    const [program, ...args] = this.#inside(words);
    return runCommand(program, args, COMMAND_LIMIT_MS);
  }

  /** The same where it may end with another status than 0. */
  tryRun(...words: string[]): Promise<CommandResult> {
    const [program, ...args] = this.#inside(words);
    return tryCommand(program, args, COMMAND_LIMIT_MS);
  }

  /** Runs lines of a shell, the first that fails ends it. Returns what it prints. */
  shell(script: string): Promise<string> {
    return this.run("sh", "-ec", script);
  }

  #inside(words: string[]): [program: string, ...args: string[]] {
    const { pid } = this.#process;
    const init = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    const environment = ["env", "-i", `PATH=${PATH}`, "HOME=/root", "NO_COLOR=1"];
    return ["nsenter", "--target", init, "--pid", "--mount", ...environment, ...words];
  }

  /** Shuts it down as `systemctl poweroff` does. Returns what its journal says of that. */
  async powerOff(): Promise<string[]> {
    await this.shell(`systemctl log-target journal; systemctl start ${SHUTDOWN_LOG_SERVICE}`);
    const exited = once(this.#process, "exit");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), SHUTDOWN_LIMIT_MS);
    await this.tryRun("systemctl", "poweroff");
    await exited;
    clearTimeout(timer);
    const lines = readFileSync(join(ROOT, SHUTDOWN_LOG), "utf8").split("\n");
    await unmountRoot();
    const begin = lines.lastIndexOf(`Stopped target ${TARGET}.`);
    if (begin < 0) throw new Error(`The journal does not say that ${TARGET} was stopped:\n${lines.join("\n")}`);
    return lines.slice(begin);
  }
}

async function mountRoot(disk: string): Promise<void> {
  for (const folder of [LAYER, ROOT]) mkdirSync(folder, { recursive: true });
  await runCommand("modprobe", ["-d", "/run", "overlay"]);
  await runCommand("mount", ["-t", "ext4", disk, LAYER]);
  for (const folder of ["upper", "work"]) mkdirSync(join(LAYER, folder), { recursive: true });
  await runCommand("mount", [
    "-t",
    "overlay",
    "-o",
    `lowerdir=/,upperdir=${LAYER}/upper,workdir=${LAYER}/work`,
    "overlay",
    ROOT,
  ]);
}

async function unmountRoot(): Promise<void> {
  for (const folder of [ROOT, LAYER]) await runCommand("umount", [folder]);
}
