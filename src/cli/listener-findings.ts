// What dm-ulog doctor says of those who receive the kernel's requests besides the server, and of what they may have done.

import { mayAnswer, nameOf } from "../node/control/listener-watch.ts";
import type { MachineFacts } from "../node/control/machine.ts";
import { isKeeper, type Listener } from "../node/requests/netlink-sockets.ts";
import type { Finding } from "./doctor.ts";

/** The sockets that are not the server's. */
function otherListeners({ listeners, server }: MachineFacts): Listener[] {
  if ("error" in server) return listeners.filter(({ holder }) => !isKeeper(holder));
  const { netlinkPort, pid } = server.after;
  return listeners.filter(({ port, holder }) => port !== netlinkPort && holder?.pid !== pid);
}

export function listenerFindings(facts: MachineFacts): Finding[] {
  return [...otherListeners(facts).map(listenerFinding), ...checkFindings(facts)];
}

function listenerFinding(listener: Listener): Finding {
  const { drops, holder, inode } = listener;
  const who = nameOf(listener);
  const remedy =
    holder === null
      ? `Find it, perhaps in a container: grep ${inode} /proc/net/netlink there; and end it`
      : `sudo kill ${holder.pid}`;
  if (drops > 0) {
    return {
      level: "problem",
      what:
        `${who} receives the kernel's requests and does not read them: its socket has dropped ${drops}. If that socket ` +
        "reports errors to the sender, as many requests may have failed, and writes may have reached the first leg of a " +
        "mirror alone, without a mark.",
      remedy: `${remedy}. Then check the mirrors that were in use: the server's log and dm-ulog status name them`,
    };
  }
  if (!mayAnswer(holder)) {
    return {
      level: "advice",
      what: `${who} receives the kernel's requests too. It does no harm as long as it reads them.`,
      remedy: `If nobody needs it: ${remedy}`,
    };
  }
  return {
    level: "problem",
    what:
      `${who} receives the kernel's requests too, and the kernel would take its answers. Two servers with two opinions ` +
      "of a mirror destroy it.",
    remedy: `If it answers the kernel, stop it (cmirrord: systemctl stop lvm2-cmirrord; else: ${remedy})`,
  };
}

function checkFindings({ server, mirrors }: MachineFacts): Finding[] {
  if ("error" in server) return [];
  return server.after.others.toCheck.map((uuid) => {
    const named = Array.isArray(mirrors) ? mirrors.find((mirror) => mirror.uuid === uuid && mirror.isLive) : undefined;
    const name = named?.name ?? "M";
    return {
      level: "problem",
      what:
        `${named?.name ?? "The mirror"} (log ${uuid}) was in use while another program kept the kernel's requests from the ` +
        "server: its legs may differ although its log says that they are in sync.",
      remedy:
        `Have all of it copied from the first leg: load the table that dmsetup table ${name} prints, with the word sync ` +
        `after the region size and 1 more before the log's UUID, then: dmsetup suspend ${name} && dmsetup resume ${name}`,
    };
  });
}
