// The completion for fish: a line for each thing that may stand somewhere, with a function that tells the place.

import { type Offer, type Place, type PlacedOption, quoted } from "./places.ts";

/** Of a program with this name. */
export function fishCompletion(program: string, places: readonly Place[]): string {
  const isAt = `__${program.replaceAll("-", "_")}_is_at`;
  const lines = places.flatMap(({ words, children, options, operands }) => {
    const start = `complete -c ${program} -n ${quoted([isAt, ...words].join(" "))}`;
    const choices = operands.flatMap(({ offer }) => (typeof offer === "string" ? [] : offer));
    return [
      ...children.map(({ name, description }) => `${start} -a ${name} -d ${fishQuoted(description)}`),
      ...choices.map((choice) => `${start} -a ${choice}`),
      ...(operands.some(({ offer }) => offer === "files") ? [`${start} -F`] : []),
      ...options.map((option) => `${start} ${optionWords(option)}`),
    ];
  });
  const known = places.filter(({ words }) => words.length > 0).map(({ words }) => quoted(words.join(" ")));
  return `# Completion of ${program} for fish. In ~/.config/fish/config.fish: ${program} completion fish | source
function ${isAt} -d 'Whether the words before the cursor lead to this command'
    set -l known ${known.join(" ")}
    set -l place
    for word in (commandline -opc)[2..-1]
        if contains -- (string trim "$place $word") $known
            set place (string trim "$place $word")
        end
    end
    test "$place" = "$argv"
end
complete -c ${program} -f
${lines.join("\n")}
`;
}

function optionWords({ names, description, value, offer }: PlacedOption): string {
  const flags = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  // fish knows no value that may be left out in a word of its own.
  return [...flags, ...(value === "required" ? [valueWords(offer)] : []), `-d ${fishQuoted(description)}`].join(" ");
}

function valueWords(offer: Offer): string {
  if (offer === "files") return "-r -F";
  if (offer === "directories") return "-x -a '(__fish_complete_directories)'";
  return offer.length > 0 ? `-x -a ${quoted(offer.join(" "))}` : "-x";
}

/** fish has escapes within single quotes. */
function fishQuoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
