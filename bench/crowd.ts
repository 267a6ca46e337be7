// A crowd of clients that mean no good, in a process of its own, for hostile.ts. Arguments: how many, and addresses. Some say
// nothing, some ask and take nothing, some ask again and again; who is thrown out comes back. Says a line when all have begun.

import { connect } from "node:net";

const [size, ...addresses] = process.argv.slice(2);
const urls = addresses.map((address) => new URL(address));
const BACK_MS = 200;

function torment(number: number): void {
  const url = urls[number % urls.length] as URL;
  const socket = connect(Number(url.port), url.hostname);
  const ask = (): boolean => socket.write(`GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
  socket.on("error", () => {});
  socket.on("connect", () => {
    const kind = number % 3;
    if (kind > 0) ask();
    if (kind === 1) socket.pause();
    if (kind === 2) socket.on("data", ask);
  });
  socket.on("close", () => setTimeout(torment, BACK_MS, number));
}

for (let number = 0; number < Number(size); number++) torment(number);
setTimeout(() => console.log("begun"), 1000);
