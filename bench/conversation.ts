// The requests that the round-trip client sends, and the replies that it must receive.

import type { RequestName } from "../src/common/kernel-frames.ts";
import { Client, loadCore } from "./client.ts";

export interface Exchange {
  request: Uint8Array;
  reply: Uint8Array;
}

export interface Conversation {
  /** Makes the log. */
  birth: Exchange[];
  /** Asked again and again. */
  questions: Exchange[];
}

/** A log of `regionCount` regions, and questions about it: `exchange` asks one about a region. */
export function conversation(
  corePath: string,
  regionCount: number,
  questions: (exchange: (type: RequestName, region: number) => Exchange) => Exchange[],
): Conversation {
  const client = new Client(loadCore(corePath), regionCount);
  const exchange = (request: Uint8Array): Exchange => ({ request, reply: client.replyBytes(request) });
  return {
    birth: [client.encode("CTR", { data: client.constructorText() }), client.encode("RESUME")].map(exchange),
    questions: questions((type, region) => exchange(client.encode(type, { data: [region] }))),
  };
}
