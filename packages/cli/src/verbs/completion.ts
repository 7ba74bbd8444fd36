// `ambit completion`: scripts for the shells, made from the table of verbs.
import { cliError } from "../errors.ts";
import { EXIT } from "../exit-codes.ts";
import type { Verb } from "../verb.ts";
import { verbs } from "../verbs.ts";

export const verb: Verb = {
  options: {},
  async run(args, io) {
    const shell = args.positionals[0];
    const words = await wordsByVerb();
    if (shell === "bash") io.out(bash(words));
    else if (shell === "zsh") io.out(`autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`);
    else if (shell === "fish") io.out(fish(words));
    else throw cliError("CLI_USAGE", "ambit completion needs a shell: bash, zsh or fish");
    return EXIT.ok;
  },
};

/** What may follow each verb: its flags, and for `lab` its subcommands. */
async function wordsByVerb(): Promise<Readonly<Record<string, readonly string[]>>> {
  const words: Record<string, readonly string[]> = {};
  for (const [name, entry] of Object.entries(verbs)) {
    const { verb: loaded } = await entry.load();
    const flags = Object.keys(loaded.options).map((option) => `--${option}`);
    words[name] = name === "lab" ? ["up", "down", "apply", "delete", "exec", "logs", ...flags] : flags;
  }
  return words;
}

function bash(words: Readonly<Record<string, readonly string[]>>): string {
  const cases = Object.entries(words).map(([name, flags]) => `    ${name}) words="${flags.join(" ")}" ;;`);
  return `_ambit() {
  local words="${Object.keys(words).join(" ")} help"
  if [ "$COMP_CWORD" -gt 1 ]; then case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    *) words="" ;;
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _ambit ambit
`;
}

function fish(words: Readonly<Record<string, readonly string[]>>): string {
  const lines = Object.entries(verbs).map(
    ([name, entry]) => `complete -c ambit -n __fish_use_subcommand -a ${name} -d '${entry.summary.replaceAll("'", "\\'")}'`,
  );
  for (const [name, flags] of Object.entries(words)) {
    for (const word of flags) {
      const form = word.startsWith("--") ? `-l ${word.slice(2)}` : `-a ${word}`;
      lines.push(`complete -c ambit -n '__fish_seen_subcommand_from ${name}' ${form}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
