import chalk from 'chalk';
import type { InferResponseType } from 'hono/client';
import { Command, InvalidArgumentError } from 'commander';
import { SCOPES, type Scope } from '../../api/access.ts';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { answerOf, connect, everyRow } from './client.ts';
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

const daemon = () => connect().api.api.keys;
type Issued = InferResponseType<ReturnType<typeof daemon>['issue']['$post']>;

/** `agrinet keys`: the API keys that this node has issued. */
export function keysCommand(): Command {
  const keys = new Command('keys').description('list, issue, revoke and rotate API keys');
  keys
    .command('list', { isDefault: true })
    .description('list keys, newest first')
    .option('--user <id>', 'only keys of this user')
    .option(...JSON_OPTION)
    .action(list);
  keys
    .command('issue')
    .description('issue a key; it is shown only once')
    .requiredOption('--user <id>', 'the user the key acts for')
    .option('--scopes <list>', 'comma-separated list of read, write, register, worker, operator', names, [
      'read',
      'write',
    ])
    .option('--expires <time>', 'lifetime in seconds, or with a unit: 12h, 30d (default: 90d)', seconds)
    .option(
      '--uses <n>',
      'with the register scope: how many nodes may register with it, 1 to 32 (default: 1)',
      nodes,
    )
    .option(...JSON_OPTION)
    .action(issue);
  keys
    .command('revoke')
    .description('revoke a key immediately')
    .argument('<id>', 'ID of the key, from `agrinet keys list`')
    .option(...JSON_OPTION)
    .action(revoke);
  keys
    .command('rotate')
    .description('replace a key; the new key is shown only once')
    .argument('<id>', 'ID of the key, from `agrinet keys list`')
    .option('--grace <time>', 'how long the old key remains valid: seconds, 12h, 7d (default: 1d)', seconds)
    .option(...JSON_OPTION)
    .action(rotate);
  return keys;
}

async function list({ user, json }: { user?: string; json?: true }): Promise<void> {
  const of = user === undefined ? {} : { userId: user };
  const keys = await everyRow(
    (page) => answerOf(daemon().$get({ query: { ...of, ...page } })),
    (page) => page.keys,
  );
  if (json) return printJson({ keys });
  const head = ['Id', 'User', 'Scopes', 'Status', 'Expires', 'Uses', 'Last Used'];
  const rows = keys.map((each) => [
    printable(each.id),
    printable(each.userId),
    printable(each.scopes.join(', ')),
    each.status === 'active' ? chalk.green('active') : chalk.yellow(printable(each.status)),
    localTime(each.expiresAt),
    String(each.usageCount),
    localTime(each.lastUsedAt),
  ]);
  printLine(boxTable(head, rows));
}

async function issue(options: {
  user: string;
  scopes: Scope[];
  expires?: number;
  uses?: number;
  json?: true;
}): Promise<void> {
  const { user, scopes, expires, uses } = options;
  const body = {
    userId: user,
    scopes,
    ...(expires === undefined ? {} : { expiresIn: expires }),
    ...(uses === undefined ? {} : { uses }),
  };
  const answer = await answerOf(daemon().issue.$post({ json: body }));
  await shownOrRevoked(answer, 'Make room for the output, then issue another key.', () => {
    if (options.json) printJson(answer);
    else show(answer);
  });
}

async function revoke(id: string, form: JsonFlag): Promise<void> {
  const answer = await answerOf(daemon().revoke.$post({ json: { id } }));
  printAnswer(answer, form, ({ status }) => `${printable(answer.id)}: ${printable(status)}`);
}

async function rotate(id: string, { grace, json }: { grace?: number; json?: true }): Promise<void> {
  const body = grace === undefined ? {} : { graceSeconds: grace };
  const answer = await answerOf(
    daemon()[':id'].rotate.$post({ param: { id: encodeURIComponent(id) }, json: body }),
  );
  const until = `The old key, ${printable(answer.previous.id)}, remains valid until ${localTime(answer.previous.expiresAt)}.`;
  await shownOrRevoked(answer, `${until} Issue another key in its place.`, () => {
    if (json) printJson(answer);
    else show(answer, until);
  });
}

/** The output is the only copy of a key. A key that nobody can have read is revoked; throws `output-failed`, which says so. */
async function shownOrRevoked({ id }: { id: string }, advice: string, print: () => void): Promise<void> {
  try {
    print();
  } catch (cause) {
    const revoked = await answerOf(daemon().revoke.$post({ json: { id } })).then(
      () => 'has been revoked',
      (error: unknown) => `could not be revoked (${errorMessage(error)}): agrinet keys revoke ${id}`,
    );
    const message = `${errorMessage(cause)}. The key ${printable(id)} was not shown and ${revoked}. ${advice}`;
    throw new AgrinetError('output-failed', message, { cause });
  }
}

/** In one write: with `head -n 1`, the reader has the key after the first write, and a second would fail. */
function show(answer: Issued, ...more: readonly string[]): void {
  const scopes = printable(answer.scopes.join(', '));
  const uses =
    answer.uses === 1
      ? ['One node can register with it, any number of times; revoking that node revokes the key.']
      : [
          `${answer.uses} nodes can register with it, any number of times; revoking any of them revokes the key.`,
        ];
  const lines = [
    printable(answer.key, 256),
    `ID ${printable(answer.id)}, user ${printable(answer.userId)}, scopes ${scopes},`,
    `valid until ${localTime(answer.expiresAt)}. Save it now: it will not be shown again.`,
    ...(answer.uses === undefined ? [] : uses),
    ...more,
  ];
  printLine(lines.join('\n'));
}

function names(text: string): Scope[] {
  return text.split(',').map((each) => {
    const scope = SCOPES.find((known) => known === each.trim());
    if (scope === undefined) throw new InvalidArgumentError(`Valid scopes: ${SCOPES.join(', ')}.`);
    return scope;
  });
}

function nodes(text: string): number {
  if (!/^([1-9]|[12]\d|3[0-2])$/.test(text)) throw new InvalidArgumentError('Must be a number from 1 to 32.');
  return Number(text);
}

const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 24 * 3600 };

function seconds(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (digits === '' || factor === undefined)
    throw new InvalidArgumentError('Use seconds, or a number followed by s, m, h or d, such as 90d.');
  return Number(digits) * factor;
}
