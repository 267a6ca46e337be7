// Defaults of the page's servers, for modules that load neither server.

export const LOOPBACK = "127.0.0.1";
/** The default port of `dm-ulog serve --view`. */
export const LIVE_PORT_DEFAULT = 8640;
/** Of the command that serves metrics beside a server. */
export const METRICS_PORT_DEFAULT = 8641;
