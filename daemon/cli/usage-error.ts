import type { Command } from 'commander';

export interface UsageError {
  /** What commander says. */
  readonly text: string;
  readonly command: Command;
  /** Those of the command line: one that commander passes to a default command was meant for a command that does not exist. */
  readonly words: readonly string[];
}

/** A usage error in one line that says what to do. */
export function usageLine({ text, command, words }: UsageError): string {
  const [problem = '', hint] = text
    .trim()
    .replace(/^error: /, '')
    .split('\n')
    .map((line) => line.trim());
  const asked = strayCommand(problem, command, words);
  const at = asked?.at ?? command;
  const what = asked === undefined ? problem.replace(/\.$/, '') : `unknown command '${asked.name}'`;
  const guess = hint === undefined ? '' : ` ${hint.replace(/^\(D/, '(d')}`;
  return `agrinet: ${what}${guess}; run: ${pathOf(at)} --help`;
}

/** The word that stands where a command below `at` was expected. */
function strayCommand(
  problem: string,
  command: Command,
  words: readonly string[],
): { readonly name: string; readonly at: Command } | undefined {
  const [name] = command.args;
  if (name === undefined || !problem.startsWith('too many arguments')) return undefined;
  if (command.commands.length > 0) return { name, at: command };
  const { parent } = command;
  return parent === null || words.includes(command.name()) ? undefined : { name, at: parent };
}

/** `agrinet keys issue`. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
