// Shell completion, generated from the commands that main.ts defines.

import type { Command, Option } from "commander";

/** A script for bash: after `source <(dm-ulog completion bash)` the tab key completes commands, options and their choices. */
export function bashCompletion(program: Command): string {
  const steps: string[] = [];
  const values: string[] = [];
  const words: string[] = [];
  const add = (command: Command, path: string) => {
    const help = command.createHelp();
    const children = help.visibleCommands(command);
    const options = help.visibleOptions(command);
    for (const child of children) {
      if (child.name() === "help") continue;
      const below = `${path} ${child.name()}`;
      steps.push(`      ${quoted(below)}) path=${quoted(below)} ;;`);
      add(child, below);
    }
    for (const option of options) {
      if (!option.required && !option.optional) continue;
      const names = namesOf(option).map((name) => quoted(`${path} ${name}`));
      values.push(`    ${names.join("|")}) ${offer(option)}; return ;;`);
    }
    const wanted = command.registeredArguments;
    const offered = [
      ...children.map((child) => child.name()),
      ...wanted.flatMap((argument) => argument.argChoices ?? []),
      ...options.flatMap(namesOf),
    ];
    const takesFiles = wanted.some((argument) => argument.argChoices === undefined);
    words.push(`    ${quoted(path)}) words=${quoted(offered.join(" "))}${takesFiles ? " files=1" : ""} ;;`);
  };
  add(program, "");
  const name = `_${program.name().replaceAll("-", "_")}`;
  return `# Completion of ${program.name()} for bash. In ~/.bashrc: source <(${program.name()} completion bash)
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
complete -o filenames -F ${name} ${program.name()}
`;
}

function namesOf({ short, long }: Option): string[] {
  return [short, long].filter((name) => name !== undefined);
}

/** What may follow an option: one of its choices, or a path if it takes one. */
function offer({ argChoices, flags }: Option): string {
  if (argChoices !== undefined) return `COMPREPLY=($(compgen -W ${quoted(argChoices.join(" "))} -- "$current"))`;
  if (/<directory>/.test(flags)) return 'COMPREPLY=($(compgen -d -- "$current"))';
  return /<(file|device)>/.test(flags) ? 'COMPREPLY=($(compgen -f -- "$current"))' : "COMPREPLY=()";
}

function quoted(text: string): string {
  return `'${text}'`;
}
