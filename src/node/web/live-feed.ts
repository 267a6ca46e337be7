// Sends the contents of a flight recorder, and then its new events, to every viewer, as a trace that grows. The trace begins with
// the last events; after every piece follow the blocks that end a section, which tell a reader that everything is complete.
//
// Invariant: only one piece under way is kept for each client. If a client is too slow, its next events are overwritten, and it
// continues with a snapshot in a section of its own. A client that takes no data at all is disconnected.

import type { IncomingMessage, ServerResponse } from "node:http";
import { writeSectionEnd } from "../../common/trace/section.ts";
import { TraceBuffer } from "../../common/trace/trace-buffer.ts";
import type { LogPosition } from "../recording/event-log.ts";
import type { FlightFollower, Piece } from "./flight-follower.ts";
import { sayStatus } from "./page-server.ts";

/** Further clients are refused. */
export const CLIENTS_MAX = 32;
/** The longest delay of an event for a client that keeps up. */
const ROUND_MS = 50;
const PIECE_BYTES_MAX = 256 * 1024;
/** The limit for all clients together, because the kernel's requests need the processors. */
const BYTES_PER_SECOND_MAX = 16 * 1024 * 1024;
const STUCK_MS_DEFAULT = 30_000;
const END_BYTES = 256;

interface Client {
  response: ServerResponse;
  /** The place of its next event; undefined if it must begin, or begin again. */
  at: LogPosition | undefined;
  hasBegun: boolean;
  /** Whether its section holds the engine's state. */
  isKnown: boolean;
  /** When the current piece was sent; 0 if none is under way. */
  writingSinceMs: number;
}

export class LiveFeed {
  /** In the order in which they get data: a client that got some moves to the end. */
  private readonly clients = new Set<Client>();
  /** When the rate limit allows the next piece. */
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
      sayStatus(
        response,
        503,
        `${CLIENTS_MAX} viewers are connected, and this server accepts no more. Close one of them.`,
      );
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
    // Nothing is sent here, so that a client that reconnects all the time costs no more than others.
    this.timer ??= setInterval(() => this.feedAll(), ROUND_MS);
  };

  /** Disconnects all clients. */
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
    // If the next half holds the state and this one does not, begin again with the next half.
    const isContinued = piece !== undefined && (client.isKnown || piece.end.age === client.at?.age);
    if (!isContinued) return this.begin(client);
    if (piece.bytes.length === 0) return undefined;
    client.at = piece.end;
    return this.ended(piece.bytes);
  }

  /** A section's beginning, and the first events. A new client gets everything that is there. */
  private begin(client: Client): Uint8Array | undefined {
    const { follower } = this;
    const oldest = client.hasBegun ? undefined : follower.beginning(true);
    const beginning = oldest?.isKnown ? oldest : follower.beginning(false);
    const piece: Piece | undefined = beginning && follower.read(beginning.at, PIECE_BYTES_MAX);
    client.at = piece?.end;
    // It was overwritten in the meantime: the next round finds another.
    if (beginning === undefined || piece === undefined) return undefined;
    client.hasBegun = true;
    client.isKnown = beginning.isKnown;
    // If these events already belong to the next half, they continue from the state of this one.
    return this.ended(beginning.bytes, piece.bytes);
  }

  private ended(...parts: Uint8Array[]): Uint8Array {
    const end = TraceBuffer.growing(END_BYTES);
    writeSectionEnd(end, this.follower.lastTimeNs);
    return Buffer.concat([...parts, end.content()]);
  }
}
