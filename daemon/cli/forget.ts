import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { readSettings } from '../secrets.ts';
import { connect } from './client.ts';
import { bytesText, printable, printJson, printLine, withProgress } from './output.ts';
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
    .description('drop what a revoked node left; what contracts and ratings of own users rest on stays')
    .argument('<node>', 'peer id, or legacy:<url>, of a revoked node; `agrinet nodes` lists them')
    .option('--dry-run', 'say what would go, and change nothing')
    .option('--yes', 'do not ask')
    .option('--json', 'print what has gone as JSON')
    .action(forget);
}

async function forget(id: string, { dryRun, yes, json }: Options): Promise<void> {
  const client = connect(readSettings());
  const path = `/federation/nodes/${encodeURIComponent(id)}/forget`;
  const follow = (response: Response, label: string) =>
    withProgress(label, (onProgress) => progressEnd(response, Figures, onProgress, 'forgetting'));
  if (dryRun || !yes) {
    const planned = await follow(await client.getStream(path), 'looking');
    if (dryRun) return json ? printJson(planned) : printLine(`Would go: ${goingText(planned)}`);
    if (!(await isMeant(planned)))
      throw new AgrinetError('usage', 'nothing was changed; with --yes it is not asked');
  }
  const end = await follow(await client.postStream(path, '', 'application/json'), 'entries');
  if (json) return printJson(end);
  printLine(`Gone: ${goingText(end)}`);
  printLine(`The database takes up ${bytesText(end.freedBytes)} less.`);
}

function goingText({ entries, bytes, ops, keptEntries, keptBytes, items }: z.output<typeof Figures>): string {
  const old = items === 0 ? '' : `, ${items} items`;
  const kept =
    keptEntries === 0
      ? ''
      : ` ${keptEntries} entries (${bytesText(keptBytes)}) stay: contracts and ratings of own users rest on them.`;
  return `${entries} entries (${bytesText(bytes)}) with ${ops} ops${old}.${kept}`;
}

/** Asked on a terminal only: what runs by itself has to say `--yes`. */
async function isMeant(planned: z.output<typeof Figures>): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(
      `${printable(planned.nodeId)}: ${goingText(planned)}\nForget it? It comes back only from other nodes. [y/N] `,
    );
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
