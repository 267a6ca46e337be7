// The core that the page has loaded, in the forms that it is used in.

import type { Console } from "../common/console.ts";

export interface Core {
  module: WebAssembly.Module;
  /** An instance to ask for words, which takes no inputs. */
  console: Console;
  /** Of its bytes, in hexadecimal digits; "unknown" where the browser does not tell. */
  sha256: string;
}

/** A browser gives digests to pages of its own machine or of https alone. */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (globalThis.crypto?.subtle === undefined) return "unknown";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
