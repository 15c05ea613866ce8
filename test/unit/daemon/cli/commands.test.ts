import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../../../daemon/cli/command-line.ts';
import { addExamples, EXAMPLES } from '../../../../daemon/cli/examples.ts';

/** These run until they are stopped; what they print is a log. */
const RUNNING = ['demo', 'start', 'worker'];

type Parts = Command & { readonly _actionHandler: unknown };

/** The whole program with its help, by the words of each command that does something, told what was called. */
async function program(called: (words: string) => void) {
  const root = new Command('agrinet').exitOverride();
  const found = new Map<string, Command>();
  const visit = (parent: Command, command: Command, above: string): void => {
    command.copyInheritedSettings(parent);
    const words = `${above} ${command.name()}`.trim();
    if ((command as Parts)._actionHandler) {
      found.set(words, command);
      command.action(() => called(words));
    }
    for (const each of command.commands) visit(command, each, words);
  };
  for (const load of Object.values(COMMANDS)) {
    const command = await load();
    visit(root, command, '');
    addExamples(command);
    root.addCommand(command);
  }
  return { root, found };
}

/** The words of a shell line behind `agrinet`; quotes keep spaces. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');
  return words.slice(words.indexOf('agrinet') + 1);
}

describe('every command', () => {
  it('has an example in its help, which parses and calls that command', async () => {
    const calls: string[] = [];
    const { found } = await program((words) => calls.push(words));
    expect([...found.keys()].toSorted()).toEqual(Object.keys(EXAMPLES).toSorted());
    for (const [words, command] of found) {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) });
      command.outputHelp();
      const line = /\nExample:\n {2}(.+)\n?$/.exec(help)?.[1];
      expect(line, words).toBe(EXAMPLES[words]);
      // A program of its own: options of an earlier call would stay.
      const { root } = await program((called) => calls.push(called));
      await root.parseAsync(wordsOf(line ?? ''), { from: 'user' });
      expect(calls.at(-1), line).toBe(words);
    }
    expect(calls).toHaveLength(found.size);
  });

  it('has --json, unless it runs until it is stopped', async () => {
    const { found } = await program(() => undefined);
    const without = [...found].filter(([, { options }]) => !options.some(({ long }) => long === '--json'));
    expect(without.map(([words]) => words).toSorted()).toEqual(RUNNING);
  });
});
