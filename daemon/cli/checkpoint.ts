import { Command } from 'commander';
import { z } from 'zod';
import { readSettings } from '../secrets.ts';
import { connect } from './client.ts';
import { bytesText, JSON_OPTION, printable, printJson, printLine } from './output.ts';
import { withProgress } from './progress-bar.ts';
import { progressEnd } from './progress-lines.ts';

const End = z.object({
  finished: z.literal(true),
  outcome: z.enum(['made', 'ready', 'unchanged', 'nothing', 'refused']),
  id: z.string().nullable(),
  figures: z
    .object({
      gen: z.number(),
      entries: z.number(),
      records: z.number(),
      count: z.number(),
      bytes: z.number(),
      evidence: z.number(),
      digest: z.string(),
      through: z.string(),
    })
    .nullable(),
  why: z.object({ code: z.string(), message: z.string() }).nullable(),
});
type End = z.output<typeof End>;

/** `agrinet checkpoint`: signs what this node's public records amount to, in the running daemon. */
export function checkpointCommand(): Command {
  return new Command('checkpoint')
    .description('sign a checkpoint of this node’s public records: a snapshot that others can verify')
    .option('--dry-run', 'show what it would cover, or why none can be made, without making one')
    .option(...JSON_OPTION)
    .action(async ({ dryRun, json }: { dryRun?: true; json?: true }) => {
      const client = connect(readSettings());
      const response = dryRun
        ? await client.getStream('/checkpoints/plan')
        : await client.postStream('/checkpoints', '', 'application/json');
      const end = await withProgress('records', (onProgress) =>
        progressEnd(response, End, onProgress, 'checkpoint'),
      );
      if (json) return printJson(end);
      printLine(said(end));
    });
}

function said({ outcome, figures, why }: End): string {
  switch (outcome) {
    case 'made':
      return `Made a checkpoint of ${covered(figures)}`;
    case 'ready':
      return `Would make a checkpoint of ${covered(figures)}`;
    case 'unchanged':
      return 'Nothing to do: the last checkpoint covers the same entries.';
    case 'nothing':
      return 'Nothing to do: no entry is old enough. A checkpoint lags seven days behind the newest entry.';
    case 'refused':
      return printable(why?.message ?? '');
  }
}

function covered(figures: End['figures']): string {
  if (figures === null) return 'nothing.';
  const { records, entries, evidence, bytes, through, gen } = figures;
  return `${records} records in ${entries} entries, signed until ${through}: generation ${gen}, ${bytesText(bytes)}, ${evidence} entries kept as evidence.`;
}
