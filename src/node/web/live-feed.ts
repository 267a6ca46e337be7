// Feeds what a flight recorder holds, and then gets, to everyone who looks on: to each a trace that grows. It begins with the
// last events there are; after every piece stand the blocks that end a section, by which a reader knows that all is whole.
//
// Invariant: nothing is kept for a client but one piece under way. One who does not take it in time finds its place
// overwritten, and goes on with a snapshot, in a section of its own; one who takes nothing at all is let go.

import type { IncomingMessage, ServerResponse } from "node:http";
import { writeSectionEnd } from "../../common/trace/section.ts";
import { TraceBuffer } from "../../common/trace/trace-buffer.ts";
import type { LogPosition } from "../event-log.ts";
import type { FlightFollower, Piece } from "./flight-follower.ts";
import { sayStatus } from "./page-server.ts";

/** More than these are refused. */
export const CLIENTS_MAX = 32;
/** How late an event is sent, at most, to one who keeps up. */
const ROUND_MS = 50;
const PIECE_BYTES_MAX = 256 * 1024;
/** For all clients together: the processors belong to the kernel's requests. */
const BYTES_PER_SECOND_MAX = 16 * 1024 * 1024;
const STUCK_MS_DEFAULT = 30_000;
const END_BYTES = 256;

interface Client {
  response: ServerResponse;
  /** Of its next event; undefined where it is to begin, or to begin anew. */
  at: LogPosition | undefined;
  hasBegun: boolean;
  /** Whether its section tells what the engine knew. */
  isKnown: boolean;
  /** Since when a piece is under way; 0 for none. */
  writingSinceMs: number;
}

export class LiveFeed {
  /** In the order in which they are fed: who was fed is the last. */
  private readonly clients = new Set<Client>();
  /** When what was sent is worth its time. */
  private paidUntilMs = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly follower: FlightFollower,
    private readonly stuckMs = STUCK_MS_DEFAULT,
  ) {}

  /** Answers a request for the feed. */
  readonly answer = (request: IncomingMessage, response: ServerResponse): void => {
    const isHead = request.method === "HEAD";
    if (!isHead && this.clients.size >= CLIENTS_MAX) {
      response.setHeader("retry-after", "10");
      sayStatus(response, 503, `${CLIENTS_MAX} look on already, and this server feeds no more. Close one of them.`);
      return;
    }
    response.setHeader("cache-control", "no-store");
    response.setHeader("connection", "close");
    response.writeHead(200, { "content-type": "application/octet-stream" });
    if (isHead) {
      response.end();
      return;
    }
    response.flushHeaders();
    const client: Client = { response, at: undefined, hasBegun: false, isKnown: false, writingSinceMs: 0 };
    this.clients.add(client);
    response.on("close", () => this.remove(client));
    response.on("error", () => {});
    // Nothing is sent here: who comes and goes all the time costs no more than others.
    this.timer ??= setInterval(() => this.feedAll(), ROUND_MS);
  };

  /** Lets all clients go. */
  close(): void {
    for (const client of this.clients) {
      client.response.destroy();
      this.remove(client);
    }
  }

  private remove(client: Client): void {
    this.clients.delete(client);
    if (this.clients.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private feedAll(): void {
    const nowMs = performance.now();
    this.paidUntilMs = Math.max(this.paidUntilMs, nowMs);
    for (const client of [...this.clients]) {
      const { response, writingSinceMs } = client;
      if (writingSinceMs !== 0) {
        if (nowMs - writingSinceMs > this.stuckMs) response.destroy();
      } else if (this.paidUntilMs < nowMs + ROUND_MS) this.feed(client, nowMs);
    }
  }

  private feed(client: Client, nowMs: number): void {
    const bytes = this.next(client);
    if (bytes === undefined) return;
    const { response } = client;
    client.writingSinceMs = nowMs;
    this.paidUntilMs += (bytes.length * 1000) / BYTES_PER_SECOND_MAX;
    this.clients.delete(client);
    this.clients.add(client);
    response.write(bytes, () => {
      client.writingSinceMs = 0;
    });
  }

  /** What the client gets next; undefined for nothing. */
  private next(client: Client): Uint8Array | undefined {
    const { follower } = this;
    const piece = client.at === undefined ? undefined : follower.read(client.at, PIECE_BYTES_MAX);
    // Where the next half tells what this one does not, it is begun anew.
    const isContinued = piece !== undefined && (client.isKnown || piece.end.age === client.at?.age);
    if (!isContinued) return this.begin(client);
    if (piece.bytes.length === 0) return undefined;
    client.at = piece.end;
    return this.ended(piece.bytes);
  }

  /** A section's beginning, and the first events. One who begins gets all there is. */
  private begin(client: Client): Uint8Array | undefined {
    const { follower } = this;
    const oldest = client.hasBegun ? undefined : follower.beginning(true);
    const beginning = oldest?.isKnown ? oldest : follower.beginning(false);
    const piece: Piece | undefined = beginning && follower.read(beginning.at, PIECE_BYTES_MAX);
    client.at = piece?.end;
    // It was overwritten meanwhile: the next round finds another.
    if (beginning === undefined || piece === undefined) return undefined;
    client.hasBegun = true;
    client.isKnown = beginning.isKnown;
    // Where these events are of the next half already, they go on from what this one tells.
    return this.ended(beginning.bytes, piece.bytes);
  }

  private ended(...parts: Uint8Array[]): Uint8Array {
    const end = TraceBuffer.growing(END_BYTES);
    writeSectionEnd(end, this.follower.lastTimeNs);
    return Buffer.concat([...parts, end.content()]);
  }
}
