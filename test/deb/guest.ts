// A Debian root booted by a real kernel, in User Mode Linux: systemd is its first process, and life.sh runs under it.

import { spawn } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { environmentForRegisters } from "../kernel/xstate.ts";

const MODULES = "/usr/lib/uml/modules";
const LAB = fileURLToPath(new URL("../kernel/", import.meta.url));
const LIFE = fileURLToPath(new URL("life.sh", import.meta.url));
const MEMORY_MIB = 512;
const DISK_BYTES = 16 * 1024 * 1024;
const TIME_LIMIT_MS = 240_000;
const UNIT = `[Unit]
After=multi-user.target

[Service]
ExecStart=/root/life.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
`;
const TARGET = `[Unit]
Requires=multi-user.target life.service
After=multi-user.target
`;

export interface Step {
  name: string;
  isPassed: boolean;
  /** What the step printed, where it failed. */
  text: string;
  /** Whether nothing was left to do after it. */
  isLast: boolean;
}

/** Runs life.sh in the root, which has the package as /root/dm-ulog.deb. `work` is for the disks. */
export async function bootLife(root: string, work: string): Promise<Step[]> {
  for (const version of readdirSync(MODULES)) {
    cpSync(join(MODULES, version), join(root, "lib/modules", version), { recursive: true });
  }
  copyFileSync(LIFE, join(root, "root/life.sh"));
  chmodSync(join(root, "root/life.sh"), 0o755);
  writeFileSync(join(root, "etc/systemd/system/life.service"), UNIT);
  writeFileSync(join(root, "etc/systemd/system/life.target"), TARGET);
  mkdirSync(join(work, "uml"));
  const disks = ["0", "1"].map((index) => {
    const image = join(work, `disk${index}`);
    writeFileSync(image, "");
    truncateSync(image, DISK_BYTES);
    return `ubd${index}=${image}`;
  });
  const hostfs = ["root=/dev/root", "rootfstype=hostfs", `rootflags=${root}`, "rw"];
  const systemd = ["init=/lib/systemd/systemd", "systemd.unit=life.target", "systemd.show_status=0", "quiet"];
  const machine = [`mem=${MEMORY_MIB}M`, `uml_dir=${join(work, "uml")}`, "con=null", "con0=null,fd:1"];
  const linux = spawn("linux.uml", [...machine, ...disks, ...hostfs, ...systemd], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: { ...process.env, ...environmentForRegisters(LAB, work), TMPDIR: work },
  });
  // Its processes are one group, and all end with it.
  const end = () => linux.pid !== undefined && process.kill(-linux.pid, "SIGKILL");
  const limit = setTimeout(end, TIME_LIMIT_MS);
  const steps: Step[] = [];
  for await (const line of createInterface({ input: linux.stdout })) {
    const [, result, name] = /^step (passed|FAILED): (.*?)\r?$/.exec(line) ?? [];
    const last = steps.at(-1);
    if (name !== undefined) steps.push({ name, isPassed: result === "passed", text: "", isLast: false });
    else if (last !== undefined && line.startsWith("  | ")) last.text += `${line}\n`;
    else if (last !== undefined && line.startsWith("life ends")) last.isLast = true;
  }
  clearTimeout(limit);
  return steps;
}
