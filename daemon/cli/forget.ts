import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { connect } from './client.ts';
import { bytesText, JSON_OPTION, printable, printJson, printLine } from './output.ts';
import { withProgress } from './progress-bar.ts';
import { progressEnd } from './progress-lines.ts';

const Figures = z.object({
  finished: z.literal(true),
  nodeId: z.string(),
  entries: z.number(),
  bytes: z.number(),
  ops: z.number(),
  keptEntries: z.number(),
  keptBytes: z.number(),
  items: z.number(),
  freedBytes: z.number(),
});

interface Options {
  readonly dryRun?: true;
  readonly yes?: true;
  readonly json?: true;
}

/** `agrinet forget`: what a revoked node left, here and on the disk. */
export function forgetCommand(): Command {
  return new Command('forget')
    .description(
      'delete the data of a revoked node, except what contracts and ratings of local users depend on',
    )
    .argument('<node>', 'peer ID, or legacy:<url>, of a revoked node, from `agrinet nodes`')
    .option('--dry-run', 'show what would be deleted without deleting it')
    .option('--yes', 'skip the confirmation prompt')
    .option(...JSON_OPTION)
    .action(forget);
}

async function forget(id: string, { dryRun, yes, json }: Options): Promise<void> {
  const client = connect();
  const path = `/federation/nodes/${encodeURIComponent(id)}/forget`;
  const follow = (response: Response, label: string) =>
    withProgress(label, (onProgress) => progressEnd(response, Figures, onProgress, 'forgetting'));
  if (dryRun || !yes) {
    const planned = await follow(await client.getStream(path), 'Scanning');
    if (dryRun) return json ? printJson(planned) : printLine(`Would delete ${goingText(planned)}`);
    if (!(await isMeant(planned)))
      throw new AgrinetError('usage', 'nothing was deleted; use --yes to skip the confirmation');
  }
  const end = await follow(await client.postStream(path, '', 'application/json'), 'Deleting');
  if (json) return printJson(end);
  printLine(`Deleted ${goingText(end)}`);
  printLine(`The database shrank by ${bytesText(end.freedBytes)}.`);
}

function goingText({ entries, bytes, ops, keptEntries, keptBytes, items }: z.output<typeof Figures>): string {
  const old = items === 0 ? '' : `, ${items} items`;
  const kept =
    keptEntries === 0
      ? ''
      : ` ${keptEntries} entries (${bytesText(keptBytes)}) are kept: contracts and ratings of local users depend on them.`;
  return `${entries} entries (${bytesText(bytes)}, ${ops} operations)${old}.${kept}`;
}

/** Asked on a terminal only: what runs by itself has to say `--yes`. */
async function isMeant(planned: z.output<typeof Figures>): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(
      `About to delete the data of ${printable(planned.nodeId)}: ${goingText(planned)}\nContinue? It can only be fetched again from other nodes. [y/N] `,
    );
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
