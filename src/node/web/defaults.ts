// Of the page's servers, for those that load neither.

export const LOOPBACK = "127.0.0.1";
/** Where `dm-ulog serve --view` is found. */
export const LIVE_PORT_DEFAULT = 8640;
