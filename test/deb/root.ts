// A Debian root in a folder, that programs run in: without a network, and with an environment of its own.

import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";

const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8", HOME: "/root", MANWIDTH: "200" };
/** What the system's own programs write as they run: caches of man, logs, the notes of systemctl and dpkg. */
const OF_OTHERS =
  /^\/(proc|dev|sys|tmp)\/|^\/var\/(cache\/man|log|cache\/ldconfig)\/|^\/var\/lib\/dpkg\/.*-old$|^\/run\/systemd\//;

export class Root {
  constructor(private readonly folder: string) {
    execFileSync("mount", ["-t", "proc", "proc", join(folder, "proc")]);
  }

  /** What it prints on standard output. Throws where it fails. */
  run(...words: string[]): string {
    return execFileSync("unshare", ["--net", "chroot", this.folder, ...words], {
      encoding: "utf8",
      env: ENVIRONMENT,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  try(...words: string[]): { status: number | null; text: string } {
    const { status, stdout, stderr } = spawnSync("unshare", ["--net", "chroot", this.folder, ...words], {
      encoding: "utf8",
      env: ENVIRONMENT,
    });
    return { status, text: stdout + stderr };
  }

  /** Everything in it but folders, and what its programs write for themselves. Paths from its root. */
  files(): string[] {
    const text = execFileSync("find", [this.folder, "-xdev", "!", "-type", "d", "-printf", "/%P\\n"], {
      encoding: "utf8",
    });
    return text
      .trim()
      .split("\n")
      .filter((path) => !OF_OTHERS.test(path));
  }

  end(): void {
    execFileSync("umount", [join(this.folder, "proc")]);
  }
}
