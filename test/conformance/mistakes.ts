// What hosts do wrong, for the tests of the kit: each is made in one of the parts of the host in Node.js.

import type { Completion, Engine, Head } from "../../src/common/engine.ts";
import type { StateStore } from "../../src/library/host.ts";
import type { Parts } from "./host.ts";
import * as wire from "./wire.ts";

/** By name. */
export const MISTAKES: Readonly<Record<string, (parts: Parts) => void>> = {
  // Writes and flushes of the log device

  "write-not-awaited": (parts) => {
    parts.writeDevice = async (device, offsetBytes, bytes) => {
      void parts.wire.call(wire.WRITE, device, offsetBytes, bytes).then(() => parts.wire.call(wire.FLUSH, device, 0));
    };
  },
  "flush-dropped": (parts) => {
    parts.writeDevice = async (device, offsetBytes, bytes) => {
      await parts.wire.call(wire.WRITE, device, offsetBytes, bytes);
    };
  },
  "flush-not-awaited": (parts) => {
    parts.writeDevice = async (device, offsetBytes, bytes) => {
      await parts.wire.call(wire.WRITE, device, offsetBytes, bytes);
      void parts.wire.call(wire.FLUSH, device, 0);
    };
  },
  "flush-beside-write": (parts) => {
    parts.writeDevice = async (device, offsetBytes, bytes) => {
      const written = parts.wire.call(wire.WRITE, device, offsetBytes, bytes);
      await Promise.all([written, parts.wire.call(wire.FLUSH, device, 0)]);
    };
  },
  "failed-write-taken-for-success": (parts) => {
    parts.writeDevice = async (device, offsetBytes, bytes) => {
      await parts.wire.call(wire.WRITE, device, offsetBytes, bytes).catch(() => {});
      await parts.wire.call(wire.FLUSH, device, 0);
    };
  },
  "failed-flush-taken-for-success": (parts) => {
    parts.writeDevice = async (device, offsetBytes, bytes) => {
      await parts.wire.call(wire.WRITE, device, offsetBytes, bytes);
      await parts.wire.call(wire.FLUSH, device, 0).catch(() => {});
    };
  },
  "short-write-taken-for-whole": (parts) => {
    parts.writeDevice = async (device, offsetBytes, bytes) => {
      await parts.wire.call(wire.WRITE, device, offsetBytes, bytes);
      await parts.wire.call(wire.FLUSH, device, 0);
    };
  },
  "write-to-last-opened": (parts) => {
    const { writeDevice, openDevice } = parts;
    let opened = 0;
    parts.openDevice = async (name) => {
      const device = await openDevice.call(parts, name);
      opened++;
      return device;
    };
    parts.writeDevice = (_, ...words) => writeDevice.call(parts, opened, ...words);
  },
  "error-replaced": (parts) => {
    const { writeDevice } = parts;
    parts.writeDevice = (...words) =>
      writeDevice.call(parts, ...words).catch(() => {
        throw Object.assign(new Error("it has failed"), { errno: 1 });
      });
  },

  // Reads and opens

  "short-read-padded": (parts) => {
    parts.readDevice = async (device, offsetBytes, sizeBytes) => {
      const { data } = await parts.wire.call(wire.READ, device, offsetBytes, wire.u32(sizeBytes));
      return Buffer.concat([data, Buffer.alloc(sizeBytes - data.length)]);
    };
  },
  "file-not-named": (parts) => {
    const { openDevice } = parts;
    parts.openDevice = async (name) => ({ ...(await openDevice.call(parts, name)), file: undefined });
  },
  "device-not-closed": (parts) => {
    const { openDevice } = parts;
    parts.openDevice = async (name) => ({ ...(await openDevice.call(parts, name)), close: () => {} });
  },

  // Completions

  "completion-without-facts": onCore((core) => {
    changeCompletions(core, ({ device: _, ...completion }, complete) => complete(completion));
  }),
  "completion-too-short": onCore((core) => {
    changeCompletions(core, (completion, complete) => {
      const { data } = completion;
      complete(data === undefined ? completion : { ...completion, data: data.subarray(0, data.length / 2) });
    });
  }),
  "completion-twice": onCore((core) => {
    changeCompletions(core, (completion, complete) => {
      complete(completion);
      if (completion.effect === core.abi.EFFECT_KIND_WRITE) complete(completion);
    });
  }),
  "error-positive": onCore((core) => {
    changeCompletions(core, (completion, complete) => complete({ ...completion, error: -completion.error }));
  }),
  "waits-for-device": (parts) => {
    parts.writeDevice = async (device, offsetBytes, bytes) => {
      void parts.wire.call(wire.WRITE, device, offsetBytes, bytes);
      while (parts.wire.read().kind !== wire.DONE);
    };
  },

  // Answers and datagrams

  "only-first-effect": onCore((core) => {
    const drain = core.drain.bind(core);
    core.drain = (effectsBytes, handler) => {
      let count = 0;
      drain(effectsBytes, { ...handler, send: (...at) => count++ === 0 && handler.send(...at) });
    };
  }),
  "answers-reversed": onCore((core) => {
    const drain = core.drain.bind(core);
    core.drain = (effectsBytes, handler) => {
      const sends: (() => void)[] = [];
      drain(effectsBytes, { ...handler, send: (...at) => sends.unshift(() => handler.send(...at)) });
      for (const send of sends) send();
    };
  }),
  "answer-twice": (parts) => {
    const { send } = parts.transport;
    parts.transport.send = (datagram) => {
      send(datagram);
      send(datagram);
    };
  },
  "answer-cut": (parts) => {
    const { send } = parts.transport;
    parts.transport.send = (datagram) => send(datagram.subarray(0, 192));
  },
  "answer-invented": onCore((core, parts) => {
    const deliver = core.deliver.bind(core);
    core.deliver = (datagram, port, nowNs, handler) => {
      const isShort = datagram.length < core.abi.FRAME_BYTES;
      if (isShort) parts.transport.send(new Uint8Array(core.abi.FRAME_BYTES));
      else deliver(datagram, port, nowNs, handler);
    };
  }),
  "datagram-cut": onCore((core) => {
    const deliver = core.deliver.bind(core);
    core.deliver = (datagram, ...rest) => deliver(datagram.subarray(0, 212), ...rest);
  }),
  "size-of-buffer": onCore((core) => {
    const deliver = core.deliver.bind(core);
    const room = core.abi.INPUT_PAYLOAD_BYTES_MAX;
    core.deliver = (datagram, ...rest) => deliver(datagram.subarray(0, room), ...rest);
  }),
  "short-datagram-dropped": onCore((core) => {
    const deliver = core.deliver.bind(core);
    core.deliver = (datagram, ...rest) => datagram.length >= core.abi.FRAME_BYTES && deliver(datagram, ...rest);
  }),
  "sender-not-told": (parts) => {
    parts.portOf = () => 0;
  },
  "memory-kept-after-growth": onCore((core) => {
    const early = core.bytes();
    core.read = (address, size) => {
      const bytes = new Uint8Array(size);
      // A view of memory that has grown since is empty.
      if (early.length > 0) bytes.set(early.subarray(address, address + size));
      return bytes;
    };
  }),

  // Time

  "tick-missing": onCore((core) => {
    core.ticked = () => {};
  }),
  "never-wakes": (parts) => {
    parts.clock.after = () => () => {};
  },
  "wakes-in-microseconds": (parts) => {
    const { after } = parts.clock;
    parts.clock.after = (delayNs, callback) => after(delayNs * 1000, callback);
  },
  "time-in-microseconds": (parts) => {
    const { nowNs } = parts.clock;
    parts.clock.nowNs = () => Math.floor(nowNs() / 1000);
  },

  // The legs

  "legs-not-flushed": (parts) => {
    parts.storage.flushLegs = async () => {};
  },
  "legs-failure-ignored": (parts) => {
    const { flushLegs } = parts.storage;
    parts.storage.flushLegs = (log) => Promise.resolve(flushLegs?.(log)).catch(() => {});
  },
  "legs-of-another-log": (parts) => {
    const { flushLegs } = parts.storage;
    parts.storage.flushLegs = ({ luid }) => flushLegs?.({ luid, uuid: "LVM-another" });
  },

  // State files

  "state-not-kept": onStates((states) => {
    states.write = () => {};
  }),
  "state-first-copy-only": onStates((states) => {
    const { write } = states;
    let last = "";
    states.write = (handle, offsetBytes, bytes) => {
      // The second of two writes with the same bytes.
      const text = `${handle} ${Buffer.from(bytes).toString("hex")}`;
      const isSecond = text === last;
      last = isSecond ? "" : text;
      if (!isSecond) write.call(states, handle, offsetBytes, bytes);
    };
  }),
  "state-kept-late": (parts) => {
    const { states } = parts;
    const { write } = states;
    const late: (() => void)[] = [];
    states.write = (handle, offsetBytes, bytes) => {
      const copy = bytes.slice();
      late.push(() => write.call(states, handle, offsetBytes, copy));
    };
    parts.beforeIdle = () => {
      for (const keep of late.splice(0)) keep();
    };
  },
  "state-not-restored": onStates((states) => {
    states.list = () => [];
  }),
  "state-restored-in-part": onStates((states) => {
    const { list } = states;
    states.list = function* () {
      for (const { handle, bytes } of list.call(states)) yield { handle, bytes: bytes.subarray(0, 65_536) };
    };
  }),
  "state-of-another-log": onStates((states) => {
    const { list } = states;
    states.list = function* () {
      const files = [...list.call(states)];
      for (const [i, { handle }] of files.entries()) {
        yield { handle, bytes: files[(i + 1) % files.length]?.bytes ?? new Uint8Array(0) };
      }
    };
  }),
  "state-not-removed": onStates((states) => {
    states.delete = () => {};
  }),
  "state-of-another-boot": (parts) => {
    parts.keepsOldBoot = true;
  },

  // Beginning and end

  "ends-without-answers": (parts) => {
    parts.endsAtOnce = true;
  },
  "shares-its-directory": (parts) => {
    parts.isClaimed = false;
  },
};

function onCore(change: (core: Engine, parts: Parts) => void): (parts: Parts) => void {
  return (parts) => {
    parts.onCore = (core) => change(core, parts);
  };
}

function onStates(change: (states: StateStore) => void): (parts: Parts) => void {
  return ({ states }) => change(states);
}

function changeCompletions(
  core: Engine,
  change: (completion: Completion, complete: (changed: Completion) => void) => void,
): void {
  const completed = core.completed.bind(core);
  core.completed = (head: Head, completion, nowNs, handler) =>
    change(completion, (changed) => completed(head, changed, nowNs, handler));
}
