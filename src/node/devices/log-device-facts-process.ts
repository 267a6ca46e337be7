// The process that reads log devices for log-device-facts.ts, and may hang at any of them.

import { answerEach } from "./asked-process.ts";
import { readLogDevice } from "./log-device-facts.ts";

answerEach(readLogDevice);
