import { Command } from 'commander';
import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { progressEnd } from './progress-lines.ts';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import {
  JSON_OPTION,
  type JsonFlag,
  localTime,
  printable,
  printAnswer,
  printJson,
  printLine,
} from './output.ts';
import { withProgress } from './progress-bar.ts';

/** `agrinet mirror`: the tables in DynamoDB that the node keeps like its own database. */
export function mirrorCommand(): Command {
  const command = new Command('mirror').description('manage the DynamoDB mirror');
  command
    .command('status', { isDefault: true })
    .description('show state, holder, lag and rejected items')
    .option(...JSON_OPTION)
    .action(async (options: { json?: true }) => {
      const found = await status();
      if (options.json) printJson(found);
      else printLine(statusReport(found));
    });
  command
    .command('init')
    .description('create missing tables')
    .option('--take-over', 'take over the tables of a node that is permanently gone')
    .option(...JSON_OPTION)
    .action(async (options: JsonFlag & { takeOver?: true }) => {
      const json = { takeOver: options.takeOver === true };
      const answer = await answerOf(connect().api.mirror.init.$post({ json }));
      const { made, state, detail } = answer;
      printAnswer(answer, options, () =>
        made.length === 0
          ? 'No tables were missing.'
          : `Created: ${made.map((name) => printable(name)).join(', ')}`,
      );
      if (state !== 'running' && state !== 'filling' && state !== 'starting')
        throw new AgrinetError('request-refused', `the mirror is ${state}: ${printable(detail, 600)}`);
      if (options.json !== true) printLine(`The mirror is ${state}.`);
    });
  command
    .command('verify')
    .description('compare every item with the database; exits with 89 if any item differs')
    .option('--json', 'print the differences as NDJSON')
    .action(async (options: { json?: true }) => {
      const end = await check('/mirror/verify', {}, options.json === true);
      if (end.differences > 0)
        throw new AgrinetError(
          'mirror-differs',
          `${end.differences} items differ; repair them with: agrinet mirror repair`,
        );
    });
  command
    .command('repair')
    .description('rewrite items that differ and delete items that should not exist')
    .option('--delete-foreign', 'also delete items the mirror never wrote, such as those of an old back end')
    .option('--json', 'print the differences as NDJSON')
    .action(async (options: { json?: true; deleteForeign?: true }) => {
      const body = { deleteForeign: options.deleteForeign === true };
      const { repaired } = await check('/mirror/repair', body, options.json === true);
      if (options.json !== true) printLine(`Items repaired: ${repaired ?? 0}`);
    });
  return command;
}

const status = () => answerOf(connect().api.mirror.$get());
type Status = Awaited<ReturnType<typeof status>>;

function statusReport(found: Status): string {
  const { holder, lag, refused } = found;
  const rows = [
    ['State', found.detail === '' ? found.state : `${found.state}: ${printable(found.detail, 400)}`],
    [
      'Holder',
      holder === null
        ? '-'
        : `${printable(holder.peerId)}, incarnation ${holder.incarnation}, seen ${localTime(holder.seenAt)}`,
    ],
    ['Lag', `${lag.entries} entries, ${lag.seconds} s`],
    ['In flight', String(found.inFlight)],
    ['Outbox', `${found.outbox} rows, including ${found.waiting} tombstones to be removed`],
    [
      'Since start',
      `${found.written} written, ${found.tombstoned} tombstones, ${found.removed} removed, ${found.failures} failures`,
    ],
    ['Last write', localTime(found.lastWriteAt)],
    ['Last error', found.lastError === null ? '-' : printable(found.lastError, 300)],
    ['Rejected', String(refused.count)],
    ...refused.rows.map(({ key, reason }) => [`  ${printable(key)}`, printable(reason, 300)]),
  ];
  return boxTable(['DynamoDB mirror', ''], rows);
}

const End = z.object({
  finished: z.literal(true),
  items: z.record(z.string(), z.number()),
  foreign: z.record(z.string(), z.number()),
  pending: z.number(),
  differences: z.number(),
  repaired: z.number().optional(),
});
const Difference = z.object({
  difference: z.object({ table: z.string(), key: z.array(z.string()), kind: z.string() }),
});

/** Runs a check in the daemon, with a bar, and prints what differs. Throws `request-refused`. */
async function check(path: string, body: object, json: boolean): Promise<z.output<typeof End>> {
  const response = await connect().postStream(path, JSON.stringify(body), 'application/json');
  const tell = (line: unknown): void => {
    const { difference } = Difference.parse(line);
    const { table, key, kind } = difference;
    if (json) printJson(difference);
    else
      printLine(`${kind.padEnd(9)} ${printable(table)} ${key.map((each) => printable(each, 200)).join(' ')}`);
  };
  const end = await withProgress('items', (onProgress) =>
    progressEnd(response, End, onProgress, 'check', tell),
  );
  if (json) {
    printJson(end);
    return end;
  }
  const foreign = sum(end.foreign);
  printLine(
    `${sum(end.items)} items checked, ${end.differences} differ` +
      (end.pending > 0 ? `, ${end.pending} pending in the outbox` : '') +
      (foreign > 0 ? `, ${foreign} not written by the mirror: ${named(end.foreign)}` : ''),
  );
  return end;
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((a, b) => a + b, 0);
const named = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} in ${printable(name)}`)
    .join(', ');
