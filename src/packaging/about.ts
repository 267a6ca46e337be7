// What a package says of itself: the files that Debian wants of every package.

import { execFileSync } from "node:child_process";

export interface About {
  /** Of the software, and of the package. */
  version: string;
  debianVersion: string;
  /** `Name <address>`, as the environment's DEBFULLNAME and DEBEMAIL have it, or else as the last commit. */
  maintainer: string;
  /** SOURCE_DATE_EPOCH, or else the time of the last commit. */
  seconds: number;
}

export function aboutOf(version: string, repository: string): About {
  const { SOURCE_DATE_EPOCH, DEBFULLNAME, DEBEMAIL } = process.env;
  const ofCommit = (format: string) =>
    execFileSync("git", ["log", "-1", `--format=${format}`], { cwd: repository, encoding: "utf8" }).trim();
  return {
    version,
    debianVersion: `${version}-1`,
    maintainer: DEBFULLNAME && DEBEMAIL ? `${DEBFULLNAME} <${DEBEMAIL}>` : ofCommit("%an <%ae>"),
    seconds: Number(SOURCE_DATE_EPOCH ?? ofCommit("%ct")),
  };
}

export function controlText(about: About, architecture: string, depends: readonly string[], installedKib: number) {
  return `Package: dm-ulog
Version: ${about.debianVersion}
Architecture: ${architecture}
Maintainer: ${about.maintainer}
Installed-Size: ${installedKib}
Depends: ${depends.join(", ")}
Section: admin
Priority: optional
Description: dirty-log server for device-mapper mirrors
 Answers the Linux kernel's dm-log-userspace: it keeps the dirty log of
 device-mapper mirrors in user space, in memory or on a device, where one can
 watch it, record it and replay it. After a crash the mirror resyncs the regions
 that may differ and no others.
 .
 The server is dm-ulogd, a program in C around a core that is compiled from
 WebAssembly. The command dm-ulog looks at it, prepares mirrors and reads
 traces. It runs in Node.js, which the package brings.
`;
}

export function changelogText({ debianVersion, maintainer, seconds }: About): string {
  const date = new Date(seconds * 1000).toUTCString().replace("GMT", "+0000");
  return `dm-ulog (${debianVersion}) unstable; urgency=medium

  * What has changed for users: /usr/share/doc/dm-ulog/changelog.gz.

 -- ${maintainer}  ${date}
`;
}

/** Of a part of the package that others have written. */
export interface Part {
  name: string;
  files: string;
  licence: string;
}

export function copyrightText(ownLicence: string, parts: readonly Part[]): string {
  const line = "-".repeat(78);
  const part = ({ name, files, licence }: Part) => `${line}\n${name}: ${files}\n\n${licence.trim()}\n`;
  return `dm-ulog, with the parts below that others have written.

${ownLicence.trim()}

${parts.map(part).join("\n")}`;
}
