import { Command } from 'commander';
import { z } from 'zod';
import { progressEnd } from './progress-lines.ts';
import { connect } from './client.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';
import { withProgress } from './progress-bar.ts';

const End = z.object({
  finished: z.literal(true),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  rows: z.number(),
  wrong: z.record(z.string(), z.number()),
  beyond: z.number(),
  unchecked: z.number(),
});

/** `agrinet scrub`: stored rows against the feeds, in the running daemon. */
export function scrubCommand(): Command {
  return new Command('scrub')
    .description('compare every stored row with the feeds while the node runs, and repair rows that differ')
    .option(...JSON_OPTION)
    .action(async ({ json }: { json?: true }) => {
      const response = await connect().postStream('/scrub', '', 'application/json');
      const end = await withProgress('rows', (onProgress) => progressEnd(response, End, onProgress, 'scrub'));
      if (json) return printJson(end);
      if (end.unchecked > 0)
        printLine(
          `${end.unchecked} records have too many changes to be derived anew; only the checksums of their rows were compared.`,
        );
      const tables = Object.entries(end.wrong).map(([table, rows]) => `${rows} in ${printable(table)}`);
      if (tables.length === 0) return printLine(`${end.rows} rows checked, no differences found.`);
      printLine(`${end.rows} rows checked; differences found: ${tables.join(', ')}.`);
      printLine(
        end.beyond === 0
          ? 'All of them were repaired.'
          : `${end.beyond} depend on entries that cannot be read: stop the daemon and run \`agrinet rebuild\`.`,
      );
    });
}
