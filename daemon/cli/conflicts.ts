import { Command } from 'commander';
import { z } from 'zod';
import { loadSettings } from '../settings.ts';
import { api } from './client.ts';
import { boxTable, printable, printJson, printLine } from './output.ts';

const answer = z.looseObject({ conflicts: z.array(z.record(z.string(), z.unknown())) });

/** `agrinet conflicts`: fields that were written concurrently and not settled yet. */
export function conflictsCommand(): Command {
  return new Command('conflicts')
    .description('list the conflicts that nobody has settled yet')
    .option('--json', 'print what the daemon answers')
    .action(async (options: { json?: true }) => {
      const open = await api(loadSettings(process.env)).get('/conflicts', answer);
      if (options.json) {
        printJson(open);
        return;
      }
      if (open.conflicts.length === 0) {
        printLine('No open conflicts.');
        return;
      }
      const columns = [...new Set(open.conflicts.flatMap((each) => Object.keys(each)))];
      const rows = open.conflicts.map((each) => columns.map((column) => cell(each[column])));
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
