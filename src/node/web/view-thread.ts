// Serves the page and the live feed on a thread of its own, so that viewers delay nobody. It has a file that it can only read,
// and no way to send the request thread anything. It loads no native package, and ends when it is told to.

import { constants, setPriority } from "node:os";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { FlightFollower } from "./flight-follower.ts";
import { LiveFeed } from "./live-feed.ts";
import { servePage } from "./page-server.ts";

export interface ViewThreadOptions {
  port: number;
  address: string;
  /** The folder of the built page. */
  page: string;
  /** The flight recorder's file. */
  flight: string;
  /** A client that takes no data for this many ms is disconnected; by default 30 s. */
  stuckMs: number | undefined;
}

/** Messages of this thread to the thread that started it. Any message to this thread ends it. */
export type ViewThreadMessage = { kind: "serving"; url: string } | { kind: "refused"; reason: string };

/** The attribute of index.html that tells the page where the feed is. */
const FEED = "live.pcapng";

async function serve({ port, address, page, flight, stuckMs }: ViewThreadOptions, parent: MessagePort): Promise<void> {
  // On Linux this applies to the calling thread only. The lowest priority would starve the page on busy processors without
  // helping the kernel any more.
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // A service may lack the permission. live-feed.ts limits viewers all the same.
  }
  const follower = new FlightFollower(flight);
  const feed = new LiveFeed(follower, stuckMs);
  const routes = new Map([[`/${FEED}`, feed.answer]]);
  const indexWords = `data-live="${FEED}"`;
  const { http, url } = await servePage(page, { port, address, routes, indexWords }).catch((error: Error) => {
    follower.close();
    throw error;
  });
  parent.once("message", () => {
    feed.close();
    http.close(() => follower.close());
    http.closeAllConnections();
  });
  parent.postMessage({ kind: "serving", url } satisfies ViewThreadMessage);
}

if (parentPort === null) throw new Error("view-thread is started by view.ts, as a worker thread.");
const parent = parentPort;
serve(workerData as ViewThreadOptions, parent).catch((error: Error) => {
  parent.postMessage({ kind: "refused", reason: error.message } satisfies ViewThreadMessage);
});
