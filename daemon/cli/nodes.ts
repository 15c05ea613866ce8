import { resolve } from 'node:path';
import chalk from 'chalk';
import { Command } from 'commander';
import { fenceFromGeoJson, fenceFromText } from '../../protocols/market/geofence.ts';
import { SOURCE_KEY } from '../federation/source-keys.ts';
import { jsonOf } from '../market/geofence-file.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { readSecretFile } from '../secret-file.ts';
import { answerOf, connect } from './client.ts';
import { setCommand } from './node-set.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, type JsonFlag, localTime, printable, printAnswer, quotaText } from './output.ts';

/** `agrinet nodes`: the registry of this node, and what its operator decides about it. */
export function nodesCommand(): Command {
  return new Command('nodes')
    .description('list and manage registered nodes')
    .option(...JSON_OPTION)
    .action(async (form: JsonFlag) => {
      printAnswer(await answerOf(connect().api.federation.nodes.$get()), form, ({ nodes }) => {
        const head = ['Node', 'URL', 'Region', 'Status', 'Connected', 'Lag', 'Last Sync', 'Stored / Quota'];
        const rows = nodes.map((each) => [
          printable(each.nodeId),
          printable(each.url === '' ? '-' : each.url),
          printable(each.region),
          each.status === 'active' ? chalk.green('active') : chalk.yellow(each.status),
          each.kind === 'http' ? 'HTTP only' : each.connected ? 'yes' : 'no',
          each.lag === null ? '-' : String(each.lag),
          localTime(each.lastSync),
          each.quota === undefined ? '-' : quotaText(each.quota),
        ]);
        return boxTable(head, rows);
      });
    })
    .addCommand(
      switchCommand('approve', 'activate a pending node; an agrinetd first has to prove its identity'),
    )
    .addCommand(switchCommand('revoke', 'revoke a registration until it is approved again'))
    .addCommand(addCommand())
    .addCommand(setCommand())
    .addCommand(fenceCommand());
}

function fenceCommand(): Command {
  return new Command('fence')
    .description('set the geofence for content from one node')
    .argument('<node>', 'peer ID, or legacy:<url>, of a node, from `agrinet nodes`')
    .argument('<fence>', 'lat,long,km; a GeoJSON file; off; or default for GEOFENCE')
    .option(...JSON_OPTION)
    .action(async (id: string, given: string, _: unknown, command: Command) => {
      const fence = await fenceBody(given);
      const node = connect().api.federation.nodes[':id'];
      const answer = await answerOf(
        node.fence.$post({ param: { id: encodeURIComponent(id) }, json: { fence } }),
      );
      printAnswer(
        answer,
        command.optsWithGlobals(),
        ({ nodeId, fence: set }) => `${printable(nodeId)}: ${printable(set)}`,
      );
    });
}

/** Files are read here: the daemon is sent what they hold, not where they are. */
async function fenceBody(given: string): Promise<string | { [field: string]: unknown; type: string }> {
  if (given === 'off' || given === 'default' || fenceFromText(given) !== undefined) return given;
  const value = await jsonOf(resolve(given));
  fenceFromGeoJson(value);
  return value as { type: string }; // what is a fence is a GeoJSON object
}

/** `agrinet suspend`: nothing that the node writes from now on is accepted; what is held is kept. */
export function suspendCommand(): Command {
  return switchCommand('suspend', 'stop accepting entries from a node; existing data stays');
}

/** `agrinet resume`: ends a suspension; what was written meanwhile is fetched. */
export function resumeCommand(): Command {
  return switchCommand('resume', 'end a suspension and fetch what was missed');
}

function switchCommand(name: 'approve' | 'revoke' | 'suspend' | 'resume', description: string): Command {
  return new Command(name)
    .description(description)
    .argument('<node>', 'peer ID, or legacy:<url>, of a node, from `agrinet nodes`')
    .option(...JSON_OPTION)
    .action(async (id: string, _: unknown, command: Command) => {
      const node = connect().api.federation.nodes[':id'];
      const answer = await answerOf(node[name].$post({ param: { id: encodeURIComponent(id) } }));
      printStatus(answer, command);
    });
}

interface AddOptions {
  readonly region?: string;
  readonly email?: string;
  readonly keyFile?: string;
  readonly withoutKey?: true;
}

/** Read from a file that only its owner can read: everybody can see a command line. Throws `usage`. */
async function keyOf({ keyFile, withoutKey }: AddOptions): Promise<{ key?: string | null }> {
  if (keyFile !== undefined && withoutKey === true)
    throw new AgrinetError('usage', '--key-file and --without-key cannot be combined');
  if (withoutKey === true) return { key: null };
  if (keyFile === undefined) return {};
  const key = (await readSecretFile(resolve(keyFile), 'usage'))?.trim();
  if (key === undefined) throw new AgrinetError('usage', `cannot read ${keyFile}: no such file`);
  if (!SOURCE_KEY.test(key))
    throw new AgrinetError(
      'usage',
      `${keyFile} does not contain a key: expected 1 to 512 visible ASCII characters on one line`,
    );
  return { key };
}

function addCommand(): Command {
  return new Command('add')
    .description('register a node by URL; an old back end without a key is only read over HTTP')
    .argument('<url>', 'URL of the node')
    .option('--region <region>', 'region of the node')
    .option('--email <address>', 'email address of its operator; not shared with other nodes')
    .option(
      '--key-file <file>',
      'file with the API key of an old back end; stored as a secret, replaces an earlier key',
    )
    .option('--without-key', 'delete the stored key for this node')
    .option(...JSON_OPTION)
    .action(async (url: string, options: AddOptions, command: Command) => {
      const body = {
        url,
        ...(options.region === undefined ? {} : { region: options.region }),
        ...(options.email === undefined ? {} : { contactEmail: options.email }),
        ...(await keyOf(options)),
      };
      const answer = await answerOf(connect().api.federation.nodes.$post({ json: body }));
      printStatus(answer, command);
    });
}

/** `--json` belongs to `nodes` too, which then takes it before its subcommands see it. */
function printStatus(answer: { readonly nodeId: string; readonly status: string }, command: Command): void {
  printAnswer(answer, command.optsWithGlobals(), ({ nodeId, status }) => `${printable(nodeId)}: ${status}`);
}
