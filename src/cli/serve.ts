// dm-ulog serve: answers the kernel in the foreground until SIGTERM or SIGINT.

import { readFileSync } from "node:fs";
import { missingPrerequisites, otherListeners } from "../node/prerequisites.ts";
import { controlSocketPath } from "../node/runtime-paths.ts";
import { packageVersion, wasmPath } from "./installation.ts";

export interface ServeOptions {
  runtimeDir: string;
}

/** Sentences in any second beyond this many are counted instead of shown: a confused kernel can refuse thousands. */
const SENTENCES_PER_SECOND_MAX = 20;

export async function serve(options: ServeOptions): Promise<void> {
  const missing = missingPrerequisites();
  if (missing.length > 0) throw new Error(missing.join("\n"));
  // The native packages behind these are optional: without them all but serving works.
  const { claimRuntimeDirectory } = await import("../node/runtime-directory.ts");
  const { Server } = await import("../node/server.ts");
  const { connectorSockets } = await import("../node/connector-socket.ts");
  const { serveStatus } = await import("../node/control-socket.ts");

  claimRuntimeDirectory(options.runtimeDir);
  const log = limitedLog();
  const server = await Server.start({
    wasm: readFileSync(wasmPath()),
    log,
    failed(error) {
      console.error(`dm-ulog: the request path has failed and the kernel goes unanswered: ${error.stack}`);
      process.exit(1);
    },
  });
  const socketPath = controlSocketPath(options.runtimeDir);
  const http = await serveStatus(server, socketPath, packageVersion());

  const warning = otherListeners(connectorSockets(), server.port);
  if (warning !== undefined) console.error(`dm-ulog: ${warning}`);
  console.log(`dm-ulog ${packageVersion()} is serving the kernel (netlink port ${server.port}). See: dm-ulog status`);

  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    http.close();
    http.closeAllConnections();
    await server.stop();
    console.log("dm-ulog has stopped.");
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

function limitedLog(): (sentence: string) => void {
  let second = 0;
  let shown = 0;
  let suppressed = 0;
  return (sentence) => {
    const now = Math.floor(process.uptime());
    if (now !== second) {
      if (suppressed > 0) console.log(`… and ${suppressed} more sentences like these.`);
      second = now;
      shown = 0;
      suppressed = 0;
    }
    if (shown++ < SENTENCES_PER_SECOND_MAX) console.log(sentence);
    else suppressed++;
  };
}
