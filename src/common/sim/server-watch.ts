// Looks at a server from its two ends, the requests that it takes and the answers that it gives, and at what one server
// leaves to the next.

import type { Abi } from "../abi.ts";
import type { Console } from "../console.ts";
import type { Engine } from "../engine.ts";
import { Durability } from "./durability.ts";
import type { LogDevices } from "./log-device.ts";
import { RestoreCheck } from "./restore-check.ts";
import type { ServerObserver } from "./server.ts";

export class ServerWatch implements ServerObserver {
  readonly durability: Durability;
  readonly restoreCheck: RestoreCheck;

  constructor(
    private readonly abi: Abi,
    devices: LogDevices,
    console: Console,
  ) {
    this.durability = new Durability(abi, devices);
    this.restoreCheck = new RestoreCheck(console);
  }

  received(datagram: Uint8Array): void {
    this.durability.received(datagram);
    const { abi } = this;
    const view = viewOf(datagram);
    const type = view.getUint32(abi.ULOG_TYPE, true);
    // A constructor that ends in a NUL takes up the log that is there.
    const begins =
      type === abi.REQUEST_CTR && datagram[abi.ULOG_DATA + view.getUint32(abi.ULOG_DATA_SIZE, true) - 1] !== 0;
    if (begins || type === abi.REQUEST_DTR) this.restoreCheck.mayBeGone(view.getBigUint64(abi.ULOG_LUID, true));
  }

  answered(datagram: Uint8Array): void {
    this.durability.answered(datagram);
    const { abi } = this;
    const view = viewOf(datagram);
    if (view.getUint32(abi.ULOG_TYPE, true) !== abi.REQUEST_CTR || view.getInt32(abi.ULOG_ERROR, true) !== 0) return;
    this.restoreCheck.constructorAnswered(view.getBigUint64(abi.ULOG_LUID, true));
  }

  mayDieIn(engine: Engine): void {
    this.restoreCheck.mayDieIn(engine);
  }

  survived(): void {
    this.restoreCheck.survived();
  }

  died(engine: Engine): void {
    this.durability.serverDied();
    this.restoreCheck.died(engine);
  }

  restored(engine: Engine, luid: bigint, uuid: string): void {
    this.restoreCheck.restored(engine, luid, uuid);
  }

  allRestored(): void {
    this.restoreCheck.allRestored();
  }

  givesUp(luid: bigint): void {
    this.restoreCheck.mayBeGone(luid);
  }

  stateLost(): void {
    this.restoreCheck.forget();
    this.durability.stateLost();
  }
}

function viewOf(datagram: Uint8Array): DataView {
  return new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
}
