// The rules as a page for people: docs/protocol-rules.md.

import { CHAPTERS, REQUESTS, type Rule } from "./rules.ts";
import { REQUEST_NAMES } from "./wire.ts";

const BEGINNING = `# The rules of the protocol

What a server of the kernel's userspace dirty log must do, request by request: the specification for whoever writes a server, or
a host around dm-ulog's core. Each rule has a number. The model in
[\`src/common/model\`](../src/common/model/README.md) checks every one of them on every simulated life and, with
\`dm-ulog replay --model\`, on a trace; its sentences begin with the number of the rule that was broken.

This page is made of \`src/common/model/rules.ts\` by \`npm run rules\`. The words are those of the [glossary](glossary.md).

## The requests

A request's number is its place in this table. Numbers in data have 64 bits and are little endian. The rules from R1 to R12 hold
for all of them.
`;

/** The page. */
export function protocolRulesPage(): string {
  const chapters = CHAPTERS.map(({ title, text, rules }) => {
    return `\n## ${title}\n\n${wrapped(text)}\n${(rules as readonly Rule[]).map(ruleText).join("")}`;
  });
  return BEGINNING + requestTable() + chapters.join("");
}

function requestTable(): string {
  const rows = REQUEST_NAMES.map((name, i) => {
    const { data, answer, meaning, rules } = REQUESTS[name];
    return `| ${i + 1} | \`${name}\` | ${meaning} | ${data} | ${answer} | ${rules.join(", ")} |\n`;
  });
  return `\n| | request | what it means | data | answer | rules |\n| --- | --- | --- | --- | --- | --- |\n${rows.join("")}`;
}

function ruleText({ number, sentence, source }: Rule): string {
  return `\n${wrapped(`**${number}** ${sentence} *(${source})*`)}\n`;
}

const LINE_CHARACTERS = 130;

function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) as string;
    if (line.length + 1 + word.length > LINE_CHARACTERS) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join("\n");
}
