// The server's types, as a TypeScript program reads them. Nothing is started: that takes a kernel.

import { Server, type ServerOptions } from "dm-ulog/server";

export const start: (options: ServerOptions) => Promise<Server> = (options) => Server.start(options);
process.stdout.write(`${typeof Server.start}\n`);
