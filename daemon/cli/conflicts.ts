import { Command } from 'commander';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, type JsonFlag, printable, printAnswer } from './output.ts';

/** `agrinet conflicts`: fields that were written concurrently and not resolved yet. */
export function conflictsCommand(): Command {
  return new Command('conflicts')
    .description('list unresolved conflicts')
    .option(...JSON_OPTION)
    .action(async (form: JsonFlag) => {
      printAnswer(await answerOf(connect().api.conflicts.$get({ query: {} })), form, ({ conflicts }) => {
        if (conflicts.length === 0) return 'No unresolved conflicts.';
        const columns = [...new Set(conflicts.flatMap((each) => Object.keys(each)))];
        const rows = conflicts
          .map((each) => new Map<string, unknown>(Object.entries(each)))
          .map((each) => columns.map((column) => cell(each.get(column))));
        const head = columns.map((column) => printable(column));
        return boxTable(head, rows);
      });
    });
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '-';
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
