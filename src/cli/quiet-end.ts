// For commands whose output may be long, and is all that they are for: others go on with what they do when nobody reads any more.

/** Ends the process without a complaint when the reader has seen enough: `dm-ulog inspect FILE | head`. */
export function endQuietly(out: NodeJS.WritableStream): void {
  out.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}
