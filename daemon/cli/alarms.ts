import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { boxTable, localTime, printable, printJson, printLine } from './output.ts';

/** `agrinet alarms`: what the node has raised, and the operator's word that it is seen to. */
export function alarmsCommand(): Command {
  return new Command('alarms')
    .description('show the alarms that are not seen to yet')
    .option('--clear', 'say that all of them are seen to; one whose cause is still there comes again')
    .option('--json', 'print what the daemon answers')
    .action(async (options: { clear?: true; json?: true }) => {
      const daemon = connect(readSettings()).api.alarms;
      if (options.clear) {
        const answer = await answerOf(daemon.clear.$post());
        if (options.json) printJson(answer);
        else printLine(answer.cleared === 0 ? 'There was none.' : `Cleared: ${answer.cleared}`);
        return;
      }
      const answer = await answerOf(daemon.$get());
      if (options.json) printJson(answer);
      else if (answer.alarms.length === 0) printLine('No alarms.');
      else
        printLine(
          boxTable(
            ['Alarm', 'Since', 'What'],
            answer.alarms.map(({ kind, at, text }) => [printable(kind), localTime(at), printable(text, 400)]),
          ),
        );
    });
}
