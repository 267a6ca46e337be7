// The completion for zsh: a function for each command, which hands its options and arguments to _arguments.

import { functionName, type Offer, type Place, type PlacedOption, quoted } from "./places.ts";

/** Of a program with this name. Works as the file _PROGRAM of a folder that $fpath names, and when it is sourced. */
export function zshCompletion(program: string, places: readonly Place[]): string {
  const main = functionName([program]);
  return `#compdef ${program}
# Completion of ${program} for zsh. In ~/.zshrc, below compinit: source <(${program} completion zsh)
${places.map((place) => functionOf(program, place)).join("\n")}
if [[ $funcstack[1] == ${quoted(`_${program}`)} ]]; then ${main} "$@"; else compdef ${main} ${program}; fi
`;
}

function functionOf(program: string, { words, children, options, operands }: Place): string {
  const name = functionName([program, ...words]);
  const specifications = [
    ...options.map(optionSpecification),
    ...operands.map(
      ({ name, isVariadic, offer }, index) =>
        `${isVariadic ? "'*:" : `'${index + 1}:`}${escaped(name)}:${action(offer)}'`,
    ),
  ];
  if (children.length === 0) return `${name}() {\n  _arguments -S : ${specifications.join(" \\\n    ")}\n}`;
  const described = children.map((child) => quoted(`${child.name}:${child.description}`));
  const named = children.filter((child) => child.name !== "help").map((child) => child.name);
  return `${name}() {
  local curcontext=$curcontext context state state_descr line ret=1
  typeset -A opt_args
  local -a commands=(
    ${described.join("\n    ")}
  )
  _arguments -C -S : ${[...specifications, "'1: :->command'", "'*:: :->words'"].join(" \\\n    ")} && ret=0
  case $state in
    command) _describe -t commands command commands && ret=0 ;;
    words)
      case $words[1] in
        ${named.map((child) => `${child}) ${functionName([program, ...words, child])} && ret=0 ;;`).join("\n        ")}
      esac ;;
  esac
  return ret
}`;
}

function optionSpecification({ names, description, value, isVariadic, offer }: PlacedOption): string {
  const written = names.map((name) => (value === "none" ? name : name.startsWith("--") ? `${name}=` : `${name}+`));
  // Once is enough, by whichever name.
  const others = isVariadic ? "*" : names.length > 1 ? `(${names.join(" ")})` : "";
  const word = written.length > 1 ? `${quoted(others)}{${written.join(",")}}'` : `'${others}${written[0]}`;
  const argument = value === "none" ? "" : `${value === "optional" ? "::" : ":"}value:${action(offer)}`;
  return `${word}[${escaped(description)}]${argument}'`;
}

function action(offer: Offer): string {
  if (offer === "files") return "_files";
  if (offer === "directories") return "_files -/";
  return offer.length > 0 ? `(${offer.join(" ")})` : "";
}

/** For a specification in single quotes. */
function escaped(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&").replaceAll("'", "'\\''");
}
