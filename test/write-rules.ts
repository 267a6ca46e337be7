// `npm run rules`: writes the page of the protocol's rules. A test demands that it is as the rules are.

import { writeFileSync } from "node:fs";
import { protocolRulesPage } from "../src/common/model/rules-page.ts";

writeFileSync(new URL("../docs/protocol-rules.md", import.meta.url), protocolRulesPage());
