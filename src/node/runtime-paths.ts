// The runtime directory: where the one server of a machine is found. Only its owner may look inside.
//
//   lock          held while a server runs; the kernel frees it however the server ends
//   control.sock  status over HTTP

import { join } from "node:path";

export const RUNTIME_DIRECTORY_DEFAULT = "/run/dm-ulog";

export function lockPath(directory: string): string {
  return join(directory, "lock");
}

export function controlSocketPath(directory: string): string {
  return join(directory, "control.sock");
}
