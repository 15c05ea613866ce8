import { Command } from 'commander';
import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { readLines } from '../../protocols/market/lines.ts';
import { readSettings } from '../secrets.ts';
import { connect } from './client.ts';
import { printable, printJson, printLine, withProgress } from './output.ts';

const Line = z.union([
  z.object({
    finished: z.literal(true),
    startedAt: z.string(),
    endedAt: z.string().nullable(),
    rows: z.number(),
    wrong: z.record(z.string(), z.number()),
    beyond: z.number(),
  }),
  z.object({ done: z.number(), total: z.number() }),
  z.object({ error: z.string(), code: z.string() }),
]);

/** A line is a few numbers. */
const MAX_LINE = 65_536;

/** `agrinet scrub`: stored rows against the feeds, in the running daemon. */
export function scrubCommand(): Command {
  return new Command('scrub')
    .description('compare every stored row with the feeds while the node runs, and make anew what differs')
    .option('--json', 'print what was found as JSON')
    .action(async ({ json }: { json?: true }) => {
      const response = await connect(readSettings()).postStream('/scrub', '', 'application/json');
      const end = await withProgress('rows', async (onProgress) => {
        for await (const { text } of readLines(response.body ?? new ReadableStream(), MAX_LINE)) {
          const line = Line.parse(JSON.parse(text));
          if ('error' in line)
            throw new AgrinetError(
              'request-refused',
              `the scrub was broken off: ${printable(line.error, 300)}`,
            );
          if ('done' in line) onProgress(line.done, line.total);
          else return line;
        }
        throw new AgrinetError('request-refused', 'the daemon broke off the scrub; run it again');
      });
      if (json) return printJson(end);
      const tables = Object.entries(end.wrong).map(([table, rows]) => `${rows} in ${printable(table)}`);
      if (tables.length === 0) return printLine(`${end.rows} rows, all as the feeds say.`);
      printLine(`${end.rows} rows; these differed from the feeds: ${tables.join(', ')}.`);
      printLine(
        end.beyond === 0
          ? 'All were made anew.'
          : `${end.beyond} rest on entries that cannot be read: stop the node and run \`agrinet rebuild\`.`,
      );
    });
}
