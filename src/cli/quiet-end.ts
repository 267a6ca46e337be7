// For commands whose output is all that they are for.

/** Ends the process without a complaint when the reader has seen enough: `dm-ulog inspect FILE | head`. */
export function endQuietly(out: NodeJS.WritableStream): void {
  out.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}
