// Serves the page and the live feed: a thread of its own, so that those who look on delay nobody. It has a file that it may
// only read, and no way to tell the request thread anything. It loads no native package, and ends when it is told to.

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
  /** After how long one who takes nothing is let go, in ms; left out, half a minute. */
  stuckMs: number | undefined;
}

/** What the thread tells the one that started it; any message to it ends it. */
export type ViewThreadMessage = { kind: "serving"; url: string } | { kind: "refused"; reason: string };

/** Where the page finds the feed, as index.html tells it. */
const FEED = "live.pcapng";

async function serve({ port, address, page, flight, stuckMs }: ViewThreadOptions, parent: MessagePort): Promise<void> {
  // On Linux this is of the calling thread alone. The lowest would starve the page where the processors are busy, and spare
  // the kernel no more.
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // A service may be forbidden to. Who looks on is bounded all the same, by live-feed.ts.
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
