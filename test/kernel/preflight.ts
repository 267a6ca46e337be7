import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const PACKAGE_OF_COMMAND: Record<string, string> = {
  "linux.uml": "user-mode-linux",
  modprobe: "kmod",
  dmsetup: "dmsetup",
  lvm: "lvm2",
  fio: "fio",
  "mkfs.ext4": "e2fsprogs",
  // For the C appliance.
  wasm2c: "wabt",
  cc: "gcc libc6-dev",
  make: "make",
  "systemd-analyze": "systemd",
  udevadm: "udev",
};
/** An ordinary user's PATH often lacks these folders; the guest's PATH has them. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

function findCommand(command: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path));
}

/** A sentence saying what must be installed or built first, or nothing. */
export function findWhatIsMissing(serverProgram: string): string | undefined {
  const packages = Object.entries(PACKAGE_OF_COMMAND)
    .filter(([command]) => !findCommand(command))
    .map(([, name]) => name);
  if (packages.length > 0) {
    const names = packages.join(" ");
    return `The kernel lab needs Debian packages that are not installed: ${names} (as root: apt-get install ${names}).`;
  }
  if (!existsSync(serverProgram)) return `${serverProgram} is not there: run "npm run build" first.`;
  return undefined;
}
