import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, localTime, printable, printJson, printLine } from './output.ts';

/** `agrinet alarms`: what the node has raised, and the operator's acknowledgement. */
export function alarmsCommand(): Command {
  return new Command('alarms')
    .description('list unacknowledged alarms')
    .option('--clear', 'acknowledge all alarms; one whose cause persists is raised again')
    .option(...JSON_OPTION)
    .action(async (options: { clear?: true; json?: true }) => {
      const daemon = connect(readSettings()).api.alarms;
      if (options.clear) {
        const answer = await answerOf(daemon.clear.$post());
        if (options.json) printJson(answer);
        else printLine(answer.cleared === 0 ? 'No alarms to clear.' : `Alarms cleared: ${answer.cleared}`);
        return;
      }
      const answer = await answerOf(daemon.$get());
      if (options.json) printJson(answer);
      else if (answer.alarms.length === 0) printLine('No alarms.');
      else
        printLine(
          boxTable(
            ['Alarm', 'Since', 'Details'],
            answer.alarms.map(({ kind, at, text }) => [printable(kind), localTime(at), printable(text, 400)]),
          ),
        );
    });
}
