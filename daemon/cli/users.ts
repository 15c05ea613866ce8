import type { InferResponseType } from 'hono/client';
import { Command, InvalidArgumentError } from 'commander';
import { NOTICE_KINDS, type NoticeKind, type QuietHours } from '../../api/ports/users.ts';
import { boxTable } from './box-table.ts';
import { answerOf, connect, everyRow } from './client.ts';
import { JSON_OPTION, type JsonFlag, printable, printJson, printLine } from './output.ts';

const daemon = () => connect().api.users;
const noticeLanguages = () => connect().api.notifications.languages;
type User = InferResponseType<ReturnType<typeof daemon>['$get'], 200>['users'][number];
const ID = ['<id>', 'ID of the user, as its keys name it'] as const;

/** `agrinet users`: the users of this node, and their notice preferences. */
export function usersCommand(): Command {
  const users = new Command('users').description('list, add, change and remove users of this node');
  users
    .command('list', { isDefault: true })
    .description('list users: those with a key, and those in the directory')
    .option(...JSON_OPTION)
    .action(list);
  users
    .command('show')
    .description('show the directory entry of a user')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action(show);
  users
    .command('set')
    .description('add or change a user; a field set to "" is removed')
    .argument(...ID)
    .option('--name <name>', 'display name')
    .option('--role <role>', 'role, such as farmer or buyer')
    .option('--region <region>', 'region')
    .option('--language <tag>', 'language of notices, such as en or sw')
    .option('--phone <number>', 'phone number, such as +254700000000; it stays on this node')
    .option('--email <address>', 'e-mail address; it stays on this node')
    .option(
      '--quiet <hours>',
      'hours without SMS, such as "21:00-06:00 Africa/Nairobi"; UTC without a time zone',
      quiet,
    )
    // The positive option first: `--no-sms` alone would default to true.
    .option('--sms', 'send SMS again')
    .option('--no-sms', 'send no SMS')
    .option('--mute <kinds>', `only list notices of these kinds: ${NOTICE_KINDS.join(', ')}`, kinds)
    .option(...JSON_OPTION)
    .action(set);
  users
    .command('remove')
    .description('delete the directory entry of a user; keys are kept (see agrinet keys revoke)')
    .argument(...ID)
    .option(...JSON_OPTION)
    .action(remove);
  return users;
}

async function list({ json }: JsonFlag): Promise<void> {
  const users = await everyRow(
    (query) => answerOf(daemon().$get({ query })),
    (page) => page.users,
  );
  if (json) return printJson({ users });
  const languageOf = await languageNames(users);
  const head = ['User', 'Name', 'Role', 'Region', 'Language', 'Phone'];
  const rows = users.map((each) =>
    [each.id, each.displayName, each.role, each.region, languageOf(each), each.phone].map((value = '-') =>
      printable(value),
    ),
  );
  printLine(boxTable(head, rows));
}

async function show(id: string, { json }: { json?: true }): Promise<void> {
  await print(await answerOf(daemon()[':id'].$get({ param: { id: encodeURIComponent(id) } })), json);
}

interface Fields {
  name?: string;
  role?: string;
  region?: string;
  language?: string;
  phone?: string;
  email?: string;
  quiet?: QuietHours | '';
  sms?: boolean;
  mute?: NoticeKind[];
  json?: true;
}

async function set(id: string, { json, name, quiet: quietHours, mute, ...rest }: Fields): Promise<void> {
  const given = { ...rest, displayName: name, quietHours, muted: mute };
  const body = Object.fromEntries(
    Object.entries(given)
      .filter(([, value]) => value !== undefined)
      .map(([field, value]) => [field, value === '' ? null : value]),
  );
  const user = await answerOf(daemon()[':id'].$patch({ param: { id: encodeURIComponent(id) }, json: body }));
  await print(user, json);
}

async function remove(id: string, { json }: { json?: true }): Promise<void> {
  const { status } = await daemon()[':id'].$delete({ param: { id: encodeURIComponent(id) } });
  if (json) printJson({ id, removed: status === 204 });
  else printLine(`${printable(id)}: removed; keys stay (agrinet keys list --user ${printable(id)})`);
}

async function print(user: User, json: true | undefined): Promise<void> {
  if (json) return printJson(user);
  const { quietHours, muted, language, ...rest } = user;
  const languageOf = await languageNames([user]);
  const lines = Object.entries({
    ...rest,
    ...(language === undefined ? {} : { language: languageOf(user) }),
    ...(quietHours === undefined
      ? {}
      : { quietHours: `${quietHours.from}-${quietHours.to} ${quietHours.timeZone}` }),
    ...(muted.length === 0 ? {} : { muted: muted.join(', ') }),
  });
  printLine(lines.map(([field, value]) => `${field}: ${printable(String(value))}`).join('\n'));
}

/** How the languages of users are shown: texts that no speaker has reviewed say so, and so does a language without texts. */
async function languageNames(
  users: readonly Pick<User, 'language'>[],
): Promise<(user: Pick<User, 'language'>) => string | undefined> {
  if (users.every(({ language }) => language === undefined)) return () => undefined;
  const { languages } = await answerOf(noticeLanguages().$get());
  return ({ language: tag }) => {
    if (tag === undefined) return undefined;
    const wanted = tag.toLowerCase();
    const found = languages.find(({ language }) => language === wanted || language === wanted.split('-')[0]);
    if (found === undefined) return `${tag} (no texts; notices are in English)`;
    return found.reviewed ? tag : `${tag} (texts not reviewed by a speaker)`;
  };
}

function quiet(text: string): QuietHours | '' {
  if (text === '') return '';
  const [, from, to, timeZone = 'UTC'] = /^(\d\d:\d\d)-(\d\d:\d\d)(?: (\S+))?$/.exec(text) ?? [];
  if (from === undefined || to === undefined)
    throw new InvalidArgumentError('Use hours such as 21:00-06:00, or "21:00-06:00 Africa/Nairobi".');
  return { from, to, timeZone };
}

function kinds(text: string): NoticeKind[] {
  return text
    .split(',')
    .filter((each) => each !== '')
    .map((each) => {
      const kind = NOTICE_KINDS.find((known) => known === each.trim());
      if (kind === undefined) throw new InvalidArgumentError(`Valid kinds: ${NOTICE_KINDS.join(', ')}.`);
      return kind;
    });
}
