import { life } from "./life.js";

process.stdout.write(`${JSON.stringify(await life())}\n`);
