// In a browser: replays the traces that lie beside the page, and posts their digests.

import { Engine } from "../../src/common/engine.ts";
import { type Digests, digestOf } from "./digest-of.ts";

async function bytesOf(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function digests(): Promise<Digests> {
  const module = new WebAssembly.Module(await bytesOf("dm-ulog.wasm"));
  const engine = new Engine(module);
  const names = JSON.parse(new TextDecoder().decode(await bytesOf("names.json"))) as string[];
  const found: Digests = {};
  for (const name of names) found[name] = digestOf(await bytesOf(name), module, engine);
  return found;
}

const answer = await digests().catch((error: unknown) => ({ error: String(error) }));
await fetch("digests", { method: "POST", body: JSON.stringify(answer) });
