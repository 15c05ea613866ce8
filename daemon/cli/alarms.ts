import { Command } from 'commander';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, type JsonFlag, localTime, printable, printAnswer } from './output.ts';

/** `agrinet alarms`: what the node has raised, and the operator's acknowledgement. */
export function alarmsCommand(): Command {
  return new Command('alarms')
    .description('list unacknowledged alarms')
    .option('--clear', 'acknowledge all alarms; one whose cause persists is raised again')
    .option(...JSON_OPTION)
    .action(async ({ clear, ...form }: JsonFlag & { clear?: true }) => {
      const daemon = connect().api.alarms;
      if (clear)
        return printAnswer(await answerOf(daemon.clear.$post()), form, ({ cleared }) =>
          cleared === 0 ? 'No alarms to clear.' : `Alarms cleared: ${cleared}`,
        );
      printAnswer(await answerOf(daemon.$get()), form, ({ alarms }) => {
        if (alarms.length === 0) return 'No alarms.';
        const rows = alarms.map(({ kind, at, text }) => [
          printable(kind),
          localTime(at),
          printable(text, 400),
        ]);
        return boxTable(['Alarm', 'Since', 'Details'], rows);
      });
    });
}
