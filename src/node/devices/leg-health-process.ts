// The process that reads the status lines of mirrors for leg-health.ts, and may hang at any of them. Null stands for a mirror that is gone,
// or is something else by now.

import { answerEach } from "./asked-process.ts";
import { readStatus } from "./mapped-device.ts";

answerEach((name) => {
  try {
    const [target] = readStatus(name);
    return target?.type === "mirror" ? target.text : null;
  } catch {
    return null;
  }
});
