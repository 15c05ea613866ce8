import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { z } from 'zod';
import { AgrinetError } from '../protocols/errors.ts';
import { editDistance } from './edit-distance.ts';

/** One setting. An empty environment variable counts as unset, as in a unit's EnvironmentFile. */
interface Definition {
  readonly env: string;
  readonly section: 'HTTP' | 'Node' | 'Mycelium' | 'Storage and logs' | 'Command line';
  readonly schema: z.ZodType<unknown, string>;
  /** As it would be written in the environment; without it the setting may be absent. */
  readonly fallback?: string;
  /** Completes "is not …". */
  readonly expects: string;
  readonly example: string;
  readonly help: string;
  /** The value appears in no error, log or table. */
  readonly secret?: true;
}

const LIST_MAX = 64;

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/)
    .transform(Number)
    .refine((value) => value >= min && value <= max);
const onOff = z.enum(['on', 'off']).transform((value) => value === 'on');
const line = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value));
const httpUrl = z
  .string()
  .max(2048)
  .refine(isPlainHttpUrl)
  .transform((value) => new URL(value).href.replace(/\/+$/, ''));
const address = z.string().refine((value) => isIP(value) !== 0);
const hostname = z.string().regex(/^(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$/);
const listOf = <T>(item: z.ZodType<T, string>) =>
  z
    .string()
    .transform((value) =>
      value
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== ''),
    )
    .pipe(z.array(item).max(LIST_MAX));
const multiaddrText = z.string().max(512).refine(isMultiaddr);

/** Every setting there is; the key is the environment name in camelCase. README, help, types and checks come from here. */
const table = {
  port: {
    env: 'PORT',
    section: 'HTTP',
    schema: wholeNumber(0, 65_535),
    fallback: '5000',
    expects: 'a whole number from 0 to 65535',
    example: '5000',
    help: 'Port of the HTTP API; 0 takes any free one.',
  },
  host: {
    env: 'HOST',
    section: 'HTTP',
    schema: z.union([address, hostname]),
    fallback: '127.0.0.1',
    expects: 'an IP address or a host name',
    example: '127.0.0.1',
    help: 'Address the HTTP API listens on. On a loopback address, peers on loopback over plain http are allowed.',
  },
  publicUrl: {
    env: 'PUBLIC_URL',
    section: 'HTTP',
    schema: httpUrl,
    expects: 'an http(s) URL without user, query or fragment',
    example: 'https://node.example.org',
    help: 'URL at which other nodes reach this API; given out at registration.',
  },
  apiKey: {
    env: 'API_KEY',
    section: 'HTTP',
    schema: z.string().regex(/^[\x21-\x7e]{8,256}$/),
    expects: 'a key of 8 to 256 visible ASCII characters without spaces',
    example: '<a long random string>',
    help: 'Key for writes (`x-api-key`). Without it one is made at first start in `DATA_DIR/api-key`. The CLI sends it too.',
    secret: true,
  },
  publicReads: {
    env: 'PUBLIC_READS',
    section: 'HTTP',
    schema: onOff,
    fallback: 'on',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Whether public records may be read without a key.',
  },
  allowPrivatePeers: {
    env: 'ALLOW_PRIVATE_PEERS',
    section: 'HTTP',
    schema: onOff,
    fallback: 'off',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Whether peers on private addresses, and over plain http, are asked.',
  },
  region: {
    env: 'REGION',
    section: 'Node',
    schema: line(64),
    fallback: 'unspecified',
    expects: 'one line of at most 64 characters',
    example: 'Rift Valley',
    help: 'Region whose market this node serves; nodes of a region find one another by it.',
  },
  contactEmail: {
    env: 'CONTACT_EMAIL',
    section: 'Node',
    schema: z.email().max(254),
    expects: 'an e-mail address',
    example: 'ops@node.example.org',
    help: 'Operator’s address; told only to nodes this node registers with.',
  },
  myceliumNodeName: {
    env: 'MYCELIUM_NODE_NAME',
    section: 'Node',
    schema: line(64),
    expects: 'one line of at most 64 characters',
    example: 'nairobi-1',
    help: 'Name for people, shown beside the peer id.',
  },
  myceliumPort: {
    env: 'MYCELIUM_PORT',
    section: 'Mycelium',
    schema: wholeNumber(0, 65_535),
    fallback: '7000',
    expects: 'a whole number from 0 to 65535',
    example: '7000',
    help: 'TCP port for peers; 0 takes any free one.',
  },
  myceliumHost: {
    env: 'MYCELIUM_HOST',
    section: 'Mycelium',
    schema: address,
    expects: 'an IP address',
    example: '0.0.0.0',
    help: 'Address Mycelium listens on. Default: `HOST` if that is an address, else 127.0.0.1. Behind a proxy set 0.0.0.0.',
  },
  myceliumAnnounce: {
    env: 'MYCELIUM_ANNOUNCE',
    section: 'Mycelium',
    schema: listOf(multiaddrText),
    fallback: '',
    expects: `a list of at most ${LIST_MAX} multiaddrs`,
    example: '/dns4/node.example.org/tcp/7000',
    help: 'Multiaddrs told to peers in place of those listened on, comma-separated.',
  },
  myceliumPeers: {
    env: 'MYCELIUM_PEERS',
    section: 'Mycelium',
    schema: listOf(multiaddrText),
    fallback: '',
    expects: `a list of at most ${LIST_MAX} multiaddrs`,
    example: '/ip4/127.0.0.1/tcp/7000/p2p/12D3KooW…',
    help: 'Bootstrap multiaddrs, comma-separated.',
  },
  myceliumPeerUrls: {
    env: 'MYCELIUM_PEER_URLS',
    section: 'Mycelium',
    schema: listOf(httpUrl),
    fallback: '',
    expects: `a list of at most ${LIST_MAX} http(s) URLs without user, query or fragment`,
    example: 'https://node.example.org',
    help: 'URLs of nodes to ask for their multiaddrs, comma-separated.',
  },
  myceliumNetwork: {
    env: 'MYCELIUM_NETWORK',
    section: 'Mycelium',
    schema: z.string().regex(/^[a-z0-9-]{1,32}$/),
    fallback: 'agrinet',
    expects: 'a name of 1 to 32 characters of a-z, 0-9 and -',
    example: 'agrinet',
    help: 'Network name; it stands in every header and protocol id, and networks do not mix.',
  },
  myceliumPskFile: {
    env: 'MYCELIUM_PSK_FILE',
    section: 'Mycelium',
    schema: line(4096).transform((path) => resolve(path)),
    expects: 'the path of a file',
    example: './swarm.key',
    help: 'File with a libp2p pre-shared network key (swarm.key); only nodes with the same key can connect.',
  },
  myceliumMdns: {
    env: 'MYCELIUM_MDNS',
    section: 'Mycelium',
    schema: onOff,
    fallback: 'off',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Look for nodes on the local network by mDNS.',
  },
  myceliumPeerExchange: {
    env: 'MYCELIUM_PEER_EXCHANGE',
    section: 'Mycelium',
    schema: onOff,
    fallback: 'on',
    expects: '"on" or "off"',
    example: 'off',
    help: 'Exchange signed addresses of peers with peers, beside the DHT.',
  },
  myceliumRelay: {
    env: 'MYCELIUM_RELAY',
    section: 'Mycelium',
    schema: onOff,
    fallback: 'off',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Use and offer circuit relays for nodes behind NAT.',
  },
  myceliumTargetDegree: {
    env: 'MYCELIUM_TARGET_DEGREE',
    section: 'Mycelium',
    schema: wholeNumber(1, 64),
    fallback: '8',
    expects: 'a whole number from 1 to 64',
    example: '8',
    help: 'Connections to registered peers the node tries to hold.',
  },
  myceliumStrangerSlots: {
    env: 'MYCELIUM_STRANGER_SLOTS',
    section: 'Mycelium',
    schema: wholeNumber(0, 256),
    fallback: '16',
    expects: 'a whole number from 0 to 256',
    example: '16',
    help: 'Connections for nodes that are not registered; they never displace a registered one.',
  },
  dataDir: {
    env: 'DATA_DIR',
    section: 'Storage and logs',
    schema: line(4096).transform((path) => resolve(path)),
    fallback: './data',
    expects: 'the path of a folder',
    example: './data',
    help: 'Folder of the database, the identity and the API key; relative to the working directory.',
  },
  diskReserveMb: {
    env: 'DISK_RESERVE_MB',
    section: 'Storage and logs',
    schema: wholeNumber(0, 1_000_000),
    fallback: '64',
    expects: 'a whole number from 0 to 1000000',
    example: '64',
    help: 'Below this free space (MiB) writes are refused with 507; reads go on.',
  },
  logLevel: {
    env: 'LOG_LEVEL',
    section: 'Storage and logs',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    fallback: 'info',
    expects: 'one of trace, debug, info, warn, error, fatal, silent',
    example: 'info',
    help: 'Least level logged; `debug` also shows the stack of an error that ends a command.',
  },
  backendUrl: {
    env: 'BACKEND_URL',
    section: 'Command line',
    schema: httpUrl,
    fallback: 'http://127.0.0.1:5000',
    expects: 'an http(s) URL without user, query or fragment',
    example: 'http://127.0.0.1:5000',
    help: 'The daemon the command line talks to.',
  },
} as const satisfies Record<string, Definition>;

type Table = typeof table;
type Value<D extends Definition> = D extends { fallback: string }
  ? z.output<D['schema']>
  : z.output<D['schema']> | undefined;

/** The checked settings, by camelCase name. */
export type Settings = {
  readonly [K in keyof Table]: K extends 'myceliumHost' ? string : Value<Table[K]>;
};

type Environment = Readonly<Record<string, string | undefined>>;
const definitions: readonly (readonly [string, Definition])[] = Object.entries(table);

/** Reads the settings; throws `settings-invalid` with one line for each problem there is. */
export function loadSettings(env: Environment): Settings {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, definition] of definitions) {
    const given = env[definition.env]?.trim() ?? '';
    const raw = given === '' ? definition.fallback : given;
    if (raw === undefined) {
      values[name] = undefined;
      continue;
    }
    const result = definition.schema.safeParse(raw);
    if (result.success) values[name] = result.data;
    else problems.push(problemLine(definition, raw, result.error));
  }
  if (problems.length > 0) {
    const hints = settingsWarnings(env);
    const title =
      problems.length === 1 ? 'One setting is invalid:' : `${problems.length} settings are invalid:`;
    throw new AgrinetError(
      'settings-invalid',
      [title, ...[...problems, ...hints].map((each) => `  ${each}`)].join('\n'),
      {
        details: { problems },
      },
    );
  }
  const host = String(values['host']);
  values['myceliumHost'] ??= isIP(host) === 0 ? '127.0.0.1' : host;
  return values as Settings; // each value came out of the schema its type is taken from
}

function problemLine(definition: Definition, raw: string, error: z.ZodError): string {
  const index = error.issues[0]?.path[0];
  const where = typeof index === 'number' ? ` (item ${index + 1} is wrong)` : '';
  // A URL can carry a password; what holds an @ is not shown.
  const hidden = definition.secret === true || raw.includes('@');
  const what = hidden ? 'the value' : JSON.stringify(raw.slice(0, 80));
  const advice = `Set for example ${definition.env}=${definition.example}, or unset it.`;
  return `${definition.env}: ${what} is not ${definition.expects}${where}. ${advice}`;
}

/** Names in the environment that look like a mistyped setting, one line each. */
export function settingsWarnings(env: Environment): string[] {
  const known = definitions.map(([, definition]) => definition.env);
  const warnings: string[] = [];
  for (const name of Object.keys(env)) {
    if (known.includes(name)) continue;
    // Short names have innocent neighbours (HOME is two letters from HOST), so they get one slip, longer ones two.
    const near = known
      .map((each) => ({ each, slips: editDistance(name.toUpperCase(), each) }))
      .filter(({ each, slips }) => slips <= (each.length < 8 ? 1 : 2))
      .sort((a, b) => a.slips - b.slips)[0]?.each;
    if (near !== undefined) warnings.push(`${name}: no such setting and ignored. Did you mean ${near}?`);
    else if (name.startsWith('MYCELIUM_')) warnings.push(`${name}: no such setting and ignored. Unset it.`);
  }
  return warnings;
}

/** The README's table of settings, in markdown. */
export function settingsTable(): string {
  const rows = definitions.map(([, { env, section, fallback, expects, help }]) => {
    const value = fallback === undefined || fallback === '' ? '' : `\`${fallback}\``;
    return `| ${section} | \`${env}\` | ${value} | ${expects} | ${help} |`;
  });
  return ['| section | setting | default | value | meaning |', '|---|---|---|---|---|', ...rows].join('\n');
}

/** The same for `agrinet start --help`. */
export function settingsHelp(): string {
  const lines = definitions.map(([, { env, fallback, help }]) => {
    const value = fallback === undefined || fallback === '' ? '' : ` [${fallback}]`;
    return `  ${env}${value}\n      ${help.replaceAll('`', '')}`;
  });
  return ['Settings are environment variables [default]:', ...lines].join('\n');
}

/** Whether a host, as in a URL or in HOST, is this machine only. A name other than localhost is not. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (bare === 'localhost' || bare === '::1') return true;
  const v4 = bare.startsWith('::ffff:') ? bare.slice(7) : bare;
  return isIP(v4) === 4 && v4.startsWith('127.');
}

function isPlainHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false;
  return url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

function isMultiaddr(text: string): boolean {
  try {
    multiaddr(text);
    return true;
  } catch {
    return false; // that it cannot be parsed is the answer
  }
}
