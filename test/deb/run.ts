// npm run test:deb: the Debian package, built, judged by lintian, and installed in clean Debian roots without a network; then its life
// under systemd and a real kernel, in User Mode Linux. Needs root, and for the roots a Debian mirror.

import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { Checks } from "../checks.ts";
import { bootLife } from "./guest.ts";
import { Root } from "./root.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const MAKE = join(REPOSITORY, "src/packaging/make-deb.ts");
/** Kept, since they take longest to make. */
const ROOTS = join(REPOSITORY, "dist/deb/roots");
const SUITES = ["bookworm", "trixie"];
/** What systems have that boot; libstdc++6 and dmsetup are what the package depends on. */
const INSTALLED = ["systemd", "systemd-sysv", "kmod", "man-db", "dmsetup", "libstdc++6"];
const TOOLS = { lintian: "lintian", debootstrap: "debootstrap", strip: "binutils", "linux.uml": "user-mode-linux" };

function missing(): string[] {
  return Object.entries(TOOLS)
    .filter(([tool]) => spawnSync("which", [tool]).status !== 0)
    .map(([, name]) => name);
}

function makeDeb(...words: string[]): string {
  const text = execFileSync(process.execPath, ["--import", "tsx", MAKE, ...words], {
    cwd: REPOSITORY,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return text.trim().split("\n").at(-1) as string;
}

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** The folder of a root that nothing was installed in; made by debootstrap where there is none. */
function cleanRoot(suite: string): string {
  const folder = join(ROOTS, suite);
  if (existsSync(folder)) return folder;
  mkdirSync(ROOTS, { recursive: true });
  const begun = `${folder}.begun`;
  rmSync(begun, { recursive: true, force: true });
  const words = ["--variant=minbase", `--include=${INSTALLED.join()}`, suite, begun, "http://deb.debian.org/debian"];
  execFileSync("debootstrap", words, { stdio: "pipe" });
  renameSync(begun, folder);
  return folder;
}

async function installed({ check }: Checks, suite: string, root: Root, version: string): Promise<void> {
  const before = root.files();
  await check(`${suite}: it installs without a network, with what it depends on there`, () => {
    root.run("dpkg", "-i", "/root/dm-ulog.deb");
  });
  await check(`${suite}: the command and the native host run`, () => {
    assert.is(root.run("dm-ulog", "--version"), `${version}\n`);
    assert.is(root.run("dm-ulogd", "--version"), `dm-ulogd ${version}\n`);
    assert.match(root.run("dm-ulog", "simulate", "--events", "5000"), "No violation.");
    // Reads files of mirrors, with a package of npm.
    assert.is(root.try("dm-ulog", "list").status, 0);
  });
  await check(`${suite}: what serving needs of npm is there`, () => {
    // The connector is one of the first network namespace: it is all that doctor misses.
    assert.match(root.try("dm-ulog", "doctor").text, /^(advice .*\n)?PROBLEM {2}This kernel has no connector.*\n$/);
  });
  await check(`${suite}: dm-ulog unit prints the unit of the package, and systemd finds no fault with any`, () => {
    const units = readdirSync(join(REPOSITORY, "systemd"));
    assert.is(root.run("dm-ulog", "unit"), root.run("cat", "/usr/lib/systemd/system/dm-ulog.service"));
    for (const unit of units) assert.not.match(root.run("cat", `/usr/lib/systemd/system/${unit}`), "/usr/local/");
    assert.is(root.run("systemd-analyze", "verify", ...units.map((unit) => unit.replace("@.", "@name."))), "");
    assert.is(root.run("systemctl", "is-enabled", "dm-ulog.service"), "enabled\n");
  });
  await check(`${suite}: man finds each page, in its section, and can show it`, () => {
    const { man } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { man: string[] };
    for (const page of [...man.map((path) => basename(path)), "dm-ulogd.8"]) {
      const [, name = "", section = ""] = /^(.*)\.(\d)$/.exec(page) ?? [];
      assert.is(root.run("man", "--where", section, name), `/usr/share/man/man${section}/${page}.gz\n`);
    }
    assert.match(root.run("man", "dm-ulogd"), /--take-over\n +take the place of the server that runs/);
  });
  await check(`${suite}: the completions are where the shells look, and are those of the command`, () => {
    const paths = {
      bash: "/usr/share/bash-completion/completions/dm-ulog",
      zsh: "/usr/share/zsh/vendor-completions/_dm-ulog",
      fish: "/usr/share/fish/vendor_completions.d/dm-ulog.fish",
    };
    for (const [shell, path] of Object.entries(paths))
      assert.is(root.run("cat", path), root.run("dm-ulog", "completion", shell));
    assert.match(root.run("bash", "-c", `. ${paths.bash} && complete -p dm-ulog`), "_dm_ulog");
  });
  await check(`${suite}: removed, it leaves no file but which units are enabled`, () => {
    root.run("mkdir", "-p", "/etc/dm-ulog/mirrors.d", "/run/dm-ulog");
    root.run("dpkg", "-r", "dm-ulog");
    const left = root.files().filter((file) => !before.includes(file));
    const configuration =
      /^\/(etc\/systemd\/system|etc\/dm-ulog|run\/dm-ulog|var\/lib\/systemd\/deb-systemd-helper-enabled)\b/;
    const ofDpkg = /^\/var\/lib\/dpkg\/info\/dm-ulog\.(list|postrm)$/;
    assert.equal(
      left.filter((file) => !configuration.test(file) && !ofDpkg.test(file)),
      [],
    );
    assert.ok(left.includes("/etc/systemd/system/multi-user.target.wants/dm-ulog.service"));
  });
  await check(`${suite}: purged, it leaves none`, () => {
    root.run("dpkg", "-P", "dm-ulog");
    assert.equal(
      root.files().filter((file) => !before.includes(file)),
      [],
    );
  });
}

async function main(): Promise<number> {
  const lacking = missing();
  if (process.getuid?.() !== 0 || lacking.length > 0) {
    const packages = lacking.length > 0 ? ` It needs Debian packages: apt-get install ${lacking.join(" ")}` : "";
    console.error(`This is to be run as root.${packages}`);
    return 1;
  }
  const checks = new Checks();
  const { check } = checks;
  const work = mkdtempSync(join(tmpdir(), "dm-ulog-deb-"));
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { version: string };
  let deb = "";
  try {
    await check("it is built", () => {
      deb = makeDeb();
      console.log(`          ${basename(deb)}: ${(readFileSync(deb).length / 1e6).toFixed(1)} MB`);
    });
    await check("the same sources give the same bytes, whatever the umask and the folder", () => {
      const first = makeDeb("--compression", "none", "--output", join(work, "first"));
      const before = process.umask(0o077);
      const second = makeDeb("--compression", "none", "--output", join(work, "another"));
      process.umask(before);
      assert.is(digest(first), digest(second));
      for (const name of ["first", "another"]) rmSync(join(work, name), { recursive: true });
    });
    await check("lintian finds nothing", () => {
      assert.is(execFileSync("lintian", ["--allow-root", deb], { encoding: "utf8" }), "");
    });
    for (const suite of SUITES) {
      const folder = join(work, suite);
      await check(`${suite}: debootstrap makes a root`, () => {
        execFileSync("cp", ["-a", cleanRoot(suite), folder]);
      });
      copyFileSync(deb, join(folder, "root/dm-ulog.deb"));
      const root = new Root(folder);
      try {
        await installed(checks, suite, root, version);
      } finally {
        root.end();
      }
    }
    const [suite = ""] = SUITES;
    const steps = await bootLife(join(work, suite), work);
    for (const { name, isPassed, text } of steps) {
      await check(`${suite} under systemd: ${name}`, () => assert.ok(isPassed, text));
    }
    await check(`${suite} under systemd: its life came to its end`, () => assert.ok(steps.at(-1)?.isLast));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return checks.end();
}

process.exitCode = await main();
