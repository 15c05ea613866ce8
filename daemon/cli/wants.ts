import type { InferResponseType } from 'hono/client';
import { Command, InvalidArgumentError, Option } from 'commander';
import { boxTable } from './box-table.ts';
import { answerOf, connect, everyRow } from './client.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';

const daemon = () => connect().api.wants;
type Want = InferResponseType<ReturnType<typeof daemon>['$get'], 200>['wants'][number];
const user = () => new Option('--user <id>', 'whose wants they are').makeOptionMandatory();

/** `agrinet wants`: the searches that users have saved. */
export function wantsCommand(): Command {
  const wants = new Command('wants').description(
    'list the searches that a user has saved, and save or delete one',
  );
  wants
    .command('list', { isDefault: true })
    .description('list the wants of a user, oldest first')
    .addOption(user())
    .option(...JSON_OPTION)
    .action(list);
  wants
    .command('add')
    .description('save a search: its user is told of each listing that it finds from now on')
    .argument('<query>', 'as behind GET /listings?, such as "q=maize&region=Nyanza"', queryOf)
    .addOption(user())
    .option('--label <name>', 'what the user calls it')
    .option('--until <time>', 'when it ends, such as 2027-01-31T00:00:00Z')
    .option(...JSON_OPTION)
    .action(add);
  wants
    .command('remove')
    .description('delete a want')
    .argument('<id>', 'ID of the want')
    .addOption(user())
    .option(...JSON_OPTION)
    .action(remove);
  return wants;
}

interface Options {
  user: string;
  json?: true;
}

async function list({ user: userId, json }: Options): Promise<void> {
  const wants = await everyRow(
    (page) => answerOf(daemon().$get({ query: { userId, ...page } })),
    (page) => page.wants,
  );
  if (json) printJson({ wants });
  else printLine(boxTable(['Want', 'Name', 'Asks for', 'Until'], wants.map(lineOf)));
}

async function add(
  query: Record<string, string>,
  { user: userId, label, until, json }: Options & { label?: string; until?: string },
): Promise<void> {
  const named = {
    userId,
    ...(label === undefined ? {} : { label }),
    ...(until === undefined ? {} : { until }),
  };
  // The daemon knows which names exist, and reports others.
  const want = await answerOf(daemon().$post({ json: { ...query, ...named } }));
  if (json) printJson(want);
  else printLine(boxTable(['Want', 'Name', 'Asks for', 'Until'], [lineOf(want)]));
}

async function remove(id: string, { user: userId, json }: Options): Promise<void> {
  const { status } = await daemon()[':id'].$delete({
    param: { id: encodeURIComponent(id) },
    query: { userId },
  });
  if (json) printJson({ id, removed: status === 204 });
  else printLine(`${printable(id)}: removed`);
}

function lineOf({ id, label = '-', listings, until = '-' }: Want): string[] {
  const asks = decodeURIComponent(listings.slice(listings.indexOf('?') + 1).replaceAll('+', ' '));
  return [id, label, asks, until].map((each) => printable(each));
}

function queryOf(text: string): Record<string, string> {
  const query = [...new URLSearchParams(text.replace(/^\/?listings\?/, ''))];
  if (query.length === 0 || query.some(([name, value]) => name === '' || value === ''))
    throw new InvalidArgumentError('Use a query such as "q=maize&region=Nyanza".');
  return Object.fromEntries(query);
}
