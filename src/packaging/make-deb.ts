// npm run package:deb: makes dist/deb/dm-ulog_VERSION_ARCHITECTURE.deb of what is built. The same sources, tools and time
// (SOURCE_DATE_EPOCH) give the same bytes. README.md says what is in it and why.
//
//   -- [--architecture amd64|arm64] [--compression xz|none] [--output FOLDER]

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { aboutOf, changelogText, controlText, copyrightText, type Part } from "./about.ts";
import { type Architecture, architectureOf } from "./architectures.ts";
import { libraryPackages } from "./linked-libraries.ts";
import { nativeManual } from "./native-manual.ts";
import { Staging } from "./staging.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const HERE = fileURLToPath(new URL("./", import.meta.url));
const LIBRARY = "usr/lib/dm-ulog";
const DOCUMENTS = "usr/share/doc/dm-ulog";
const UNITS = "usr/lib/systemd/system";
const NODE = `${LIBRARY}/bin/node`;
/** Debian has its text once, for all packages. */
const APACHE = "Apache License 2.0, which /usr/share/common-licenses/Apache-2.0 has.";
const SHELLS = {
  bash: "usr/share/bash-completion/completions/dm-ulog",
  zsh: "usr/share/zsh/vendor-completions/_dm-ulog",
  fish: "usr/share/fish/vendor_completions.d/dm-ulog.fish",
};
/** What runs of a package from npm: no sources, types and documents, and no binaries for other machines. */
const RUNS = /(\.[cm]?js|\.json|\.node)$/;
const DOES_NOT_RUN =
  /(^|\/)(vendor|doc|typings|musl_\w+|cnoke\.cjs|trampolines\.cjs|bin\.js|optional\.js|build-test\.js)(\/|$)/;

const { values: options } = parseArgs({
  options: {
    architecture: { type: "string" },
    compression: { type: "string", default: "xz" },
    output: { type: "string", default: join(REPOSITORY, "dist/deb") },
  },
});
try {
  console.log(make(architectureOf(options.architecture)));
} catch (error) {
  console.error(`The package cannot be made. ${(error as Error).message}`);
  process.exitCode = 1;
}

/** Returns the path of the package. */
function make(architecture: Architecture): string {
  const { version } = JSON.parse(read("package.json")) as { version: string };
  const about = aboutOf(version, REPOSITORY);
  const work = join(options.output, architecture.debian);
  const modules = npmPackages(REPOSITORY, join(work, "production"), architecture);
  const official = join(
    npmPackages(join(HERE, "node"), join(work, "node"), architecture),
    `node-linux-${architecture.node}`,
  );
  const staging = new Staging(join(work, "root"));

  programs(staging, architecture, official);
  nodeModules(staging, architecture, modules);
  const units = systemdUnits(staging);
  manual(staging, version);
  for (const [shell, path] of Object.entries(SHELLS)) staging.write(path, dmUlog("completion", shell));
  documents(staging, modules, official);
  staging.writeCompressed(`${DOCUMENTS}/changelog.Debian`, changelogText(about));
  staging.copy(join(HERE, "debian/lintian-overrides"), "usr/share/lintian/overrides/dm-ulog");

  const binaries = staging.files().filter((path) => !staging.isLink(path) && isBinary(staging.read(path)));
  const strip = `${architecture.toolPrefix}strip`;
  for (const path of binaries) {
    const sections = ["--strip-unneeded", "--remove-section=.comment", "--remove-section=.note"];
    execFileSync(strip, [...sections, join(staging.folder, path)]);
  }
  const depends = [...libraryPackages(binaries.map((path) => join(staging.folder, path))), "dmsetup"].sort();
  const installedKib = staging.installedKib();
  const sums = staging
    .files()
    .filter((path) => !staging.isLink(path))
    .map((path) => `${createHash("md5").update(staging.read(path)).digest("hex")}  ${path}\n`);
  staging.write("DEBIAN/md5sums", sums.join(""));
  staging.write("DEBIAN/control", controlText(about, architecture.debian, depends, installedKib));
  for (const script of ["postinst", "prerm", "postrm"]) {
    const text = read(`src/packaging/debian/${script}`).replaceAll("@UNITS@", units.join(" "));
    staging.write(`DEBIAN/${script}`, text, 0o755);
  }
  staging.finish(about.seconds);
  const path = join(options.output, `dm-ulog_${about.debianVersion}_${architecture.debian}.deb`);
  execFileSync("dpkg-deb", [`-Z${options.compression}`, "--root-owner-group", "--build", staging.folder, path], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, SOURCE_DATE_EPOCH: String(about.seconds) },
  });
  return path;
}

/** Installs what a package-lock.json pins, for that architecture, and returns the folder; the one of an earlier run if nothing changed. */
function npmPackages(project: string, folder: string, { node }: Architecture): string {
  const names = ["package.json", "package-lock.json"];
  const text = (path: string) => names.map((name) => readFileSync(join(path, name), "utf8")).join();
  const modules = join(folder, "node_modules");
  if (existsSync(join(modules, ".package-lock.json")) && text(folder) === text(project)) return modules;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of names) cpSync(join(project, name), join(folder, name));
  const target = [`--cpu=${node}`, "--os=linux", "--libc=glibc", "--omit=dev", "--ignore-scripts"];
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", ["ci", ...target, ...quiet], { cwd: folder, stdio: "inherit" });
  return modules;
}

function programs(staging: Staging, { debian, toolPrefix }: Architecture, official: string): void {
  // For this machine it is where build:native puts it, and is run for its manual page.
  const out = toolPrefix === "" ? join(REPOSITORY, "dist/native") : join(REPOSITORY, "dist/native", debian);
  const compiler = toolPrefix === "" ? [] : [`CC=${toolPrefix}gcc`];
  execFileSync("make", ["-s", "-C", join(REPOSITORY, "src/native"), `OUT=${out}`, ...compiler], { stdio: "inherit" });
  staging.copy(join(out, "dm-ulogd"), "usr/sbin/dm-ulogd", 0o755);
  staging.copy(join(official, "bin/node"), NODE, 0o755);

  const compiled = (file: string) => file.endsWith(".js");
  for (const folder of ["cli", "common", "library", "node"]) {
    staging.copyFolder(join(REPOSITORY, "dist", folder), `${LIBRARY}/dist/${folder}`, compiled);
  }
  staging.copyFolder(
    join(REPOSITORY, "dist/visualizer"),
    `${LIBRARY}/dist/visualizer`,
    (file) => !/LICENSE/.test(file),
  );
  for (const file of ["package.json", "dist/as-bind.js", "dist/dm-ulog.wasm", "src/wireshark/dm-ulog.lua"]) {
    staging.copy(join(REPOSITORY, file), `${LIBRARY}/${file}`);
  }
  const main = `${LIBRARY}/dist/cli/main.js`;
  staging.write("usr/bin/dm-ulog", `#!/bin/sh\nexec /${NODE} /${main} "$@"\n`, 0o755);
  // Without the line that names a Node.js of the machine.
  staging.write(main, read("dist/cli/main.js").replace(/^#!.*\n/, ""));
  // Where the command looks for them.
  staging.link(`${LIBRARY}/dist/native/dm-ulogd`, "usr/sbin/dm-ulogd");
  staging.link(`${LIBRARY}/systemd`, UNITS);
}

function nodeModules(staging: Staging, { node }: Architecture, modules: string): void {
  const ofOthers = new RegExp(`(^|/)prebuilds/(?!linux-${node}/)`);
  staging.copyFolder(modules, `${LIBRARY}/node_modules`, (file) => {
    if (file.startsWith(".") || /(^|\/)(@types|node-addon-api)\//.test(file)) return false;
    return RUNS.test(file) && !DOES_NOT_RUN.test(file) && !ofOthers.test(file);
  });
}

/** All that are in systemd/, with the paths of the package. Returns their names. */
function systemdUnits(staging: Staging): string[] {
  const units = readdirSync(join(REPOSITORY, "systemd")).sort();
  for (const unit of units)
    staging.write(`${UNITS}/${unit}`, read(`systemd/${unit}`).replaceAll("/usr/local/", "/usr/"));
  return units;
}

function manual(staging: Staging, version: string): void {
  const help = execFileSync(join(REPOSITORY, "dist/native/dm-ulogd"), ["--help"], { encoding: "utf8" });
  const write = (page: string, text: string) =>
    staging.writeCompressed(`usr/share/man/man${page.at(-1)}/${page}`, text);
  for (const page of readdirSync(join(REPOSITORY, "dist/man"))) write(page, read(`dist/man/${page}`));
  write("dm-ulogd.8", nativeManual(help, version));
}

function documents(staging: Staging, modules: string, official: string): void {
  staging.copyFolder(join(REPOSITORY, "docs"), DOCUMENTS, (file) => file.endsWith(".md"));
  staging.writeCompressed(`${DOCUMENTS}/changelog`, read("CHANGELOG.md"));
  const parts = [
    {
      name: "Node.js",
      files: `/${NODE}`,
      licence: `Node.js and the libraries in it have the licences that /${DOCUMENTS}/nodejs-licences.gz holds.`,
    },
    { name: "as-bind", files: "in the command", licence: read("node_modules/as-bind/LICENSE") },
    {
      name: "AssemblyScript",
      files: "in the core and the command",
      licence: `${APACHE}\n\n${read("node_modules/assemblyscript/NOTICE")}`,
    },
    { name: "uPlot", files: "in the page", licence: read("node_modules/uplot/LICENSE") },
    ...staging.files().flatMap((file) => npmPart(file, modules)),
  ];
  staging.write(`${DOCUMENTS}/copyright`, copyrightText(read("LICENSE"), parts));
  staging.writeCompressed(`${DOCUMENTS}/nodejs-licences`, readFileSync(join(official, "LICENSE")));
}

/** Of an npm package, if this file is its package.json. */
function npmPart(file: string, modules: string): Part[] {
  const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(file) ?? [];
  if (name === undefined) return [];
  const folder = join(modules, name);
  const { license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { license: string };
  const text = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const whole = text === undefined ? `${license}, as its package.json says.` : readFileSync(join(folder, text), "utf8");
  return [{ name, files: `/${dirname(file)}`, licence: license === "Apache-2.0" ? APACHE : whole }];
}

function dmUlog(...words: string[]): string {
  return execFileSync(process.execPath, [join(REPOSITORY, "dist/cli/main.js"), ...words], { encoding: "utf8" });
}

function isBinary(content: Uint8Array): boolean {
  return String.fromCharCode(...content.subarray(0, 4)) === "\x7fELF";
}

function read(path: string): string {
  return readFileSync(join(REPOSITORY, path), "utf8");
}
