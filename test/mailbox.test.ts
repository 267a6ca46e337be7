// How the control plane reads the engine's memory from another thread.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Mailbox } from "../src/node/requests/mailbox.ts";

const MEMORY_BYTES = 200_000;

/** Answers when it is rung for. One that is late wakes the reader for an answer that the reader has seen already, and then answers. */
const REQUEST_THREAD = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { shared, rings, memory, path, isLate } = workerData;
  const state = new Int32Array(shared);
  import(path).then(({ Mailbox }) => {
    const mailbox = new Mailbox(shared);
    parentPort.postMessage("ready");
    while (!mailbox.stopRequested()) {
      const seen = Atomics.load(rings, 0);
      if (isLate && Atomics.load(state, 0) !== 0) {
        while (Atomics.notify(state, 0) === 0);
        Atomics.wait(rings, 0, seen, 20);
      }
      mailbox.answer(memory);
      Atomics.wait(rings, 0, seen);
    }
  });
`;

async function withRequestThread(isLate: boolean, run: (read: (address: number, size: number) => void) => void) {
  const mailbox = new Mailbox();
  const rings = new Int32Array(new SharedArrayBuffer(4));
  const memory = Uint8Array.from({ length: MEMORY_BYTES }, (_, address) => address % 251);
  const path = new URL("../dist/node/requests/mailbox.js", import.meta.url).href;
  const workerData = { shared: mailbox.shared, rings, memory, path, isLate };
  const thread = new Worker(REQUEST_THREAD, { eval: true, workerData });
  await once(thread, "message");
  const ring = () => {
    Atomics.add(rings, 0, 1);
    Atomics.notify(rings, 0);
  };
  try {
    run((address, size) => {
      assert.equal(mailbox.read(address, size, ring), memory.slice(address, address + size));
    });
  } finally {
    const ended = once(thread, "exit");
    mailbox.requestStop();
    ring();
    await ended;
  }
}

test("memory is read in pieces, whatever its size", () =>
  withRequestThread(false, (read) => {
    for (const size of [1, 65_536, 65_537, 150_000]) read(1000, size);
  }));

test("whoever is woken for the answer before waits for its own", () =>
  withRequestThread(true, (read) => {
    for (let address = 0; address < 1000; address += 100) read(address, 100);
  }));

test.run();
