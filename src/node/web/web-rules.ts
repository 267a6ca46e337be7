// Who is answered over HTTP: a browser that was pointed at this address, and no page of another site. A browser lets any page
// send requests to this machine; what it cannot forge are the headers looked at here.

import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

/** Why a request is not answered. */
export interface Refusal {
  status: 403 | 405 | 421;
  sentence: string;
}

const LOOPBACK_NAMES: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];
const HOST_PATTERN = /^[\w.:[\]-]+$/;

/** Whether an IP address leads to this machine alone. */
export function isLoopback(address: string): boolean {
  const bare = bareAddress(address);
  return bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

/** The address as it stands in a URL. */
export function addressInUrl(address: string): string {
  return isIP(address) === 6 ? `[${address}]` : address;
}

/**
 * Why a request is refused; undefined where it is not. `isPage`: what is asked for is a page that a link of any other page may
 * lead to, as links are for. What it loads then, and all else, is for itself alone.
 */
export function refusalOf({ method, headers, socket }: IncomingMessage, isPage: boolean): Refusal | undefined {
  if (method !== "GET" && method !== "HEAD") {
    return { status: 405, sentence: "This is only to be looked at: GET and HEAD are answered." };
  }
  const host = hostOf(headers.host);
  if (host === undefined || !isOwnName(host.hostname, bareAddress(socket.localAddress ?? ""))) {
    return { status: 421, sentence: "The request is for a host that this server is not. Ask for it by its address." };
  }
  const { origin } = headers;
  if (origin !== undefined && origin.toLowerCase() !== host.origin) return foreign();
  const site = headers["sec-fetch-site"];
  if (site === undefined || site === "same-origin" || site === "none") return undefined;
  const isVisit = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  return isPage && isVisit ? undefined : foreign();
}

function foreign(): Refusal {
  return { status: 403, sentence: "Another site's page asks for this. Only its own page may." };
}

/** The port is not looked at: a tunnel may give it another one, and it is the name that a rebound name server forges. */
function isOwnName(hostname: string, localAddress: string): boolean {
  if (hostname === addressInUrl(localAddress)) return true;
  return isLoopback(localAddress) && LOOPBACK_NAMES.includes(hostname);
}

function hostOf(header: string | undefined): URL | undefined {
  if (header === undefined || !HOST_PATTERN.test(header)) return undefined;
  try {
    return new URL(`http://${header}`);
  } catch {
    return undefined;
  }
}

/** Where a socket takes both kinds of addresses, those of version 4 are written as if they were of version 6. */
function bareAddress(address: string): string {
  return address.replace(/^::ffff:/i, "");
}
