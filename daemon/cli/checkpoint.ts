import chalk from 'chalk';
import { Command } from 'commander';
import { z } from 'zod';
import { readSettings } from '../secrets.ts';
import { boxTable } from './box-table.ts';
import { answerOf, connect } from './client.ts';
import {
  bytesText,
  count,
  JSON_OPTION,
  localTime,
  printable,
  printAnswer,
  printJson,
  printLine,
} from './output.ts';
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

const held = () => answerOf(connect().api.checkpoints.$get());
type Held = Awaited<ReturnType<typeof held>>['checkpoints'];

function table(checkpoints: Held): string {
  if (checkpoints.length === 0) return 'No checkpoint is held here yet.';
  const head = ['Node', 'Signed', 'Generation', 'Records', 'Size', 'Verified'];
  const rows = checkpoints.map(({ author, time, gen, count: records, bytes, contested, verified, why }) => [
    author,
    localTime(time),
    count(gen),
    count(records),
    bytesText(bytes),
    contested ? chalk.red('contested') : VERIFIED[verified ?? 'not yet'](why),
  ]);
  return boxTable(head, rows);
}

const VERIFIED: Readonly<
  Record<NonNullable<Held[number]['verified']> | 'not yet', (why: string | null) => string>
> = {
  own: () => chalk.green('made here'),
  true: () => chalk.green('verified'),
  false: (why) => chalk.red(`false: ${printable(why ?? '')}`),
  incomplete: (why) => chalk.yellow(`not yet: ${printable(why ?? '')}`),
  'not yet': () => chalk.yellow('not yet'),
};

/** `agrinet checkpoint`: signs what this node's public records amount to, in the running daemon. */
export function checkpointCommand(): Command {
  return new Command('checkpoint')
    .description('sign a checkpoint of this node’s public records: a snapshot that others can verify')
    .option('--dry-run', 'show what it would cover, or why none can be made, without making one')
    .option(
      '--list',
      'show the checkpoints of this node and of those it follows, and whether they were verified',
    )
    .option(...JSON_OPTION)
    .action(async ({ dryRun, list, json }: { dryRun?: true; list?: true; json?: true }) => {
      if (list)
        return printAnswer(await held(), { ...(json && { json }) }, ({ checkpoints }) => table(checkpoints));
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
