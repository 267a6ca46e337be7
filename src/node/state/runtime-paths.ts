// The runtime directory: where the one server of a machine is found. Only its owner may look inside.
//
//   lock          held while a server runs; the kernel frees it however the server ends
//   control.sock  status over HTTP: the Node.js host's
//   server        what the native host shares with whoever looks on
//   keeper        socket of the process that keeps the server's netlink socket
//   take-over     socket of a native host that is about to take over
//   state/        what must outlive the server but not the machine: a file for each log
//   nodes/        device nodes that /dev does not have
//   flight-recorder, flight-recorder.lost    the last events of this server, and of one that was killed
//   crashes/      traces that failures left
//   set-aside/    what lay in the way and is none of these

import { join } from "node:path";

export const RUNTIME_DIRECTORY_DEFAULT = "/run/dm-ulog";

export function lockPath(directory: string): string {
  return join(directory, "lock");
}

export function controlSocketPath(directory: string): string {
  return join(directory, "control.sock");
}

export function serverPagePath(directory: string): string {
  return join(directory, "server");
}

export function socketKeeperPath(directory: string): string {
  return join(directory, "keeper");
}

export function stateDirectory(directory: string): string {
  return join(directory, "state");
}

export function setAsideDirectory(directory: string): string {
  return join(directory, "set-aside");
}

export function nodesDirectory(directory: string): string {
  return join(directory, "nodes");
}

export function crashDirectory(directory: string): string {
  return join(directory, "crashes");
}

export function flightPath(directory: string): string {
  return join(directory, "flight-recorder");
}

/** Where the flight recorder of a server that did not end is put, until it is kept as a trace. */
export function lostFlightPath(directory: string): string {
  return join(directory, "flight-recorder.lost");
}
