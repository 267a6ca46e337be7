// Decides which HTTP requests are answered: those of a browser that was pointed at this address, and none of another site's page.
// A browser lets any page send requests to this machine, but a page cannot forge the headers that are checked here.

import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

/** Why a request is not answered. */
export interface Refusal {
  status: 403 | 405 | 421;
  sentence: string;
}

const LOOPBACK_NAMES: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];
const HOST_PATTERN = /^[\w.:[\]-]+$/;

/** Whether an IP address can be reached from this machine only. */
export function isLoopback(address: string): boolean {
  const bare = bareAddress(address);
  return bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

/** The address as written in a URL. */
export function addressInUrl(address: string): string {
  return isIP(address) === 6 ? `[${address}]` : address;
}

/**
 * Why a request is refused; undefined if it is not. `isPage`: the request is for a page, to which links from any other page may
 * lead. Only that page itself may load the rest.
 */
export function refusalOf({ method, headers, socket }: IncomingMessage, isPage: boolean): Refusal | undefined {
  if (method !== "GET" && method !== "HEAD") {
    return { status: 405, sentence: "This server is read-only: it answers GET and HEAD." };
  }
  const host = hostOf(headers.host);
  if (host === undefined || !isOwnName(host.hostname, bareAddress(socket.localAddress ?? ""))) {
    return { status: 421, sentence: "The request names a host that is not this server. Use the server's address." };
  }
  const { origin } = headers;
  if (origin !== undefined && origin.toLowerCase() !== host.origin) return foreign();
  const site = headers["sec-fetch-site"];
  if (site === undefined || site === "same-origin" || site === "none") return undefined;
  const isVisit = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  return isPage && isVisit ? undefined : foreign();
}

function foreign(): Refusal {
  return {
    status: 403,
    sentence: "This request comes from another site's page. Only this server's own page may send it.",
  };
}

/** The port is not checked: a tunnel may use another one, and an attack by DNS rebinding forges the name, not the port. */
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

/** On a socket for both kinds of addresses, IPv4 addresses are written in IPv6 notation. */
function bareAddress(address: string): string {
  return address.replace(/^::ffff:/i, "");
}
