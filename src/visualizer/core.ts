// The core that the page has loaded, in the forms that it is used in.

import type { Console } from "../common/console.ts";

export interface Core {
  module: WebAssembly.Module;
  /** An instance to ask for words, which takes no inputs. */
  console: Console;
  /** The SHA-256 of its bytes, in hexadecimal digits; "unknown" if the browser does not compute it. */
  sha256: string;
}

/** A browser computes digests only for pages of its own machine or over https. */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (globalThis.crypto?.subtle === undefined) return "unknown";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
