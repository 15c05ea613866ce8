import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';

/** `agrinet conflicts`: fields that were written concurrently and not resolved yet. */
export function conflictsCommand(): Command {
  return new Command('conflicts')
    .description('list unresolved conflicts')
    .option(...JSON_OPTION)
    .action(async (options: { json?: true }) => {
      const open = await answerOf(connect(readSettings()).api.conflicts.$get({ query: {} }));
      if (options.json) {
        printJson(open);
        return;
      }
      if (open.conflicts.length === 0) {
        printLine('No unresolved conflicts.');
        return;
      }
      const columns = [...new Set(open.conflicts.flatMap((each) => Object.keys(each)))];
      const rows = open.conflicts
        .map((each) => Object.entries(each))
        .map((fields) => new Map<string, unknown>(fields))
        .map((each) => columns.map((column) => cell(each.get(column))));
      printLine(
        boxTable(
          columns.map((column) => printable(column)),
          rows,
        ),
      );
    });
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '-';
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
