// The completion for bash: one function, which finds the place by the words before the cursor.

import { functionName, type Offer, type Place, quoted } from "./places.ts";

/** Of a program with this name. */
export function bashCompletion(program: string, places: readonly Place[]): string {
  const steps: string[] = [];
  const values: string[] = [];
  const words: string[] = [];
  for (const { words: before, children, options, operands } of places) {
    const path = before.map((word) => ` ${word}`).join("");
    if (path !== "") steps.push(`      ${quoted(path)}) path=${quoted(path)} ;;`);
    for (const { names, value, offer } of options) {
      if (value === "none") continue;
      values.push(`    ${names.map((name) => quoted(`${path} ${name}`)).join("|")}) ${reply(offer)}; return ;;`);
    }
    const choices = operands.flatMap(({ offer }) => (typeof offer === "string" ? [] : offer));
    const offered = [...children.map(({ name }) => name), ...choices, ...options.flatMap(({ names }) => names)];
    const files = operands.some(({ offer }) => offer === "files") ? " files=1" : "";
    words.push(`    ${quoted(path)}) words=${quoted(offered.join(" "))}${files} ;;`);
  }
  const name = functionName([program]);
  return `# Completion of ${program} for bash. In ~/.bashrc: source <(${program} completion bash)
${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path= words= files= word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
${steps.join("\n")}
    esac
  done
  case "$path $previous" in
${values.join("\n")}
  esac
  case "$path" in
${words.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ -n $files && $current != -* ]]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}
complete -o filenames -F ${name} ${program}
`;
}

function reply(offer: Offer): string {
  if (offer === "files") return 'COMPREPLY=($(compgen -f -- "$current"))';
  if (offer === "directories") return 'COMPREPLY=($(compgen -d -- "$current"))';
  return offer.length > 0 ? `COMPREPLY=($(compgen -W ${quoted(offer.join(" "))} -- "$current"))` : "COMPREPLY=()";
}
