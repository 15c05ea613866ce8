import { createRequire } from 'node:module';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type * as Multiformats from '@multiformats/multiaddr';
import { z } from 'zod';
import { fenceFromText } from '../protocols/market/geofence.ts';

/** One setting. An empty environment variable counts as unset, as in a unit's EnvironmentFile. */
export interface Definition {
  readonly env: string;
  /** Older names for it. */
  readonly aliases?: readonly string[];
  readonly section:
    | 'HTTP'
    | 'Node'
    | 'Jobs and events'
    | 'Mycelium'
    | 'Storage and logs'
    | 'Mirror'
    | 'Command line';
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
export const SETTINGS = {
  port: {
    env: 'PORT',
    section: 'HTTP',
    schema: wholeNumber(0, 65_535),
    fallback: '5000',
    expects: 'a whole number from 0 to 65535',
    example: '5000',
    help: 'Port of the HTTP API; 0 picks any free port.',
  },
  host: {
    env: 'HOST',
    section: 'HTTP',
    schema: z.union([address, hostname]),
    fallback: '127.0.0.1',
    expects: 'an IP address or a host name',
    example: '127.0.0.1',
    help: 'Address the HTTP API listens on. On a loopback address, the daemon also accepts peers on loopback over plain HTTP.',
  },
  publicUrl: {
    env: 'PUBLIC_URL',
    section: 'HTTP',
    schema: httpUrl,
    expects: 'an http(s) URL without user, query or fragment',
    example: 'https://node.example.org',
    help: 'URL at which other nodes reach this API; sent when registering.',
  },
  apiKey: {
    env: 'API_KEY',
    section: 'HTTP',
    schema: z.string().regex(/^[\x21-\x7e]{8,256}$/),
    expects: 'a key of 8 to 256 visible ASCII characters without spaces',
    example: '<a long random string>',
    help: 'API key (`x-api-key`) with every scope; the CLI sends it too. If unset, one is generated at the first start and stored in `DATA_DIR/api-key`.',
    secret: true,
  },
  publicReads: {
    env: 'PUBLIC_READS',
    section: 'HTTP',
    schema: onOff,
    fallback: 'on',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Whether public records can be read without a key.',
  },
  tlsCertFile: {
    env: 'TLS_CERT_FILE',
    section: 'HTTP',
    schema: line(4096).transform((path) => resolve(path)),
    expects: 'the path of a file',
    example: '/etc/agrinet/tls.crt',
    help: 'PEM certificate for `PUBLIC_URL`; the node key signs its fingerprint. Without `TLS_KEY_FILE`, it is the certificate that a reverse proxy serves.',
  },
  tlsKeyFile: {
    env: 'TLS_KEY_FILE',
    section: 'HTTP',
    schema: line(4096).transform((path) => resolve(path)),
    expects: 'the path of a file',
    example: '/etc/agrinet/tls.key',
    help: 'PEM private key of that certificate. With both, the daemon serves HTTPS itself.',
  },
  corsOrigins: {
    env: 'CORS_ORIGINS',
    section: 'HTTP',
    schema: listOf(httpUrl),
    fallback: '',
    expects: `a list of at most ${LIST_MAX} http(s) origins`,
    example: 'https://dashboard.example.org',
    help: 'Origins allowed to call this API from a browser, comma-separated.',
  },
  trustProxy: {
    env: 'TRUST_PROXY',
    section: 'HTTP',
    schema: onOff,
    fallback: 'off',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Behind a reverse proxy on loopback: take the client address from the last entry of `X-Forwarded-For`.',
  },
  rateLimit: {
    env: 'RATE_LIMIT',
    section: 'HTTP',
    schema: z.union([z.literal('off').transform(() => undefined), wholeNumber(1, 1_000_000)]),
    fallback: '1000',
    expects: 'requests per second from 1 to 1000000, or "off"',
    example: '1000',
    help: 'Maximum requests per second for each key and each address; more are answered with 429.',
  },
  jwtSecret: {
    env: 'JWT_SECRET',
    section: 'HTTP',
    schema: z.string().min(16).max(1024),
    expects: 'a secret of 16 to 1024 characters',
    example: '<a long random string>',
    help: 'Secret for HS256 bearer tokens. If unset, none are accepted.',
    secret: true,
  },
  oauthIssuer: {
    env: 'OAUTH_ISSUER',
    section: 'HTTP',
    schema: httpUrl,
    expects: 'an http(s) URL without user, query or fragment',
    example: 'https://login.example.org',
    help: 'OAuth 2.0/OIDC issuer whose bearer tokens are accepted; verified with the issuer’s JWKS.',
  },
  oauthAudience: {
    env: 'OAUTH_AUDIENCE',
    section: 'HTTP',
    schema: line(256),
    expects: 'one line of at most 256 characters',
    example: 'agrinet',
    help: 'Audience that these tokens must name. Requires `OAUTH_ISSUER`.',
  },
  allowPrivatePeers: {
    env: 'ALLOW_PRIVATE_PEERS',
    section: 'HTTP',
    schema: onOff,
    fallback: 'off',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Whether to contact peers at private addresses and over plain HTTP.',
  },
  region: {
    env: 'REGION',
    section: 'Node',
    schema: line(64),
    fallback: 'unspecified',
    expects: 'one line of at most 64 characters',
    example: 'Rift Valley',
    help: 'Region whose market this node serves. Nodes of the same region find one another by it.',
  },
  geofence: {
    env: 'GEOFENCE',
    section: 'Node',
    schema: line(4096).refine(isFence),
    expects: 'lat,long,km; or geoLat_<lat>,geoLong_<long>,km; or the path of a GeoJSON file',
    example: '-1.28333,36.81667,150',
    help: 'Area of other nodes’ listings to show: a circle, or the polygons of a GeoJSON file. This node’s own listings are always shown. Storage and replication are not affected.',
  },
  contactEmail: {
    env: 'CONTACT_EMAIL',
    section: 'Node',
    schema: z.email().max(254),
    expects: 'an e-mail address',
    example: 'ops@node.example.org',
    help: 'Operator’s e-mail address; sent only to nodes this node registers with.',
  },
  myceliumNodeName: {
    env: 'MYCELIUM_NODE_NAME',
    section: 'Node',
    schema: line(64),
    expects: 'one line of at most 64 characters',
    example: 'nairobi-1',
    help: 'Display name, shown next to the peer ID.',
  },
  syncIntervalMinutes: {
    env: 'SYNC_INTERVAL_MINUTES',
    section: 'Jobs and events',
    schema: wholeNumber(0, 10_080),
    fallback: '30',
    expects: 'a whole number from 0 to 10080',
    example: '30',
    help: 'Minutes between syncs with each registered node; 0 disables them, for example when cron starts them.',
  },
  trendSnapshotHours: {
    env: 'TREND_SNAPSHOT_HOURS',
    section: 'Jobs and events',
    schema: wholeNumber(0, 8760),
    fallback: '24',
    expects: 'a whole number from 0 to 8760',
    example: '24',
    help: 'Hours between published trend snapshots; none is published while prices are unchanged. 0 disables them.',
  },
  redisUrl: {
    env: 'REDIS_URL',
    section: 'Jobs and events',
    schema: z.string().max(2048).refine(isRedisUrl),
    expects: 'a redis:// or rediss:// URL',
    example: 'redis://127.0.0.1:6379',
    help: 'Redis server for BullMQ; `agrinet worker` processes then run the jobs. If unset, the daemon runs them itself.',
    secret: true,
  },
  federationWebhookUrls: {
    env: 'FEDERATION_WEBHOOK_URLS',
    section: 'Jobs and events',
    schema: listOf(httpUrl),
    fallback: '',
    expects: `a list of at most ${LIST_MAX} http(s) URLs without user, query or fragment`,
    example: 'https://hooks.example.org/agrinet',
    help: 'Webhook URLs that events are posted to, comma-separated; nothing is posted without `FEDERATION_WEBHOOK_SECRET`.',
  },
  noticeWebhookUrls: {
    env: 'NOTICE_WEBHOOK_URLS',
    section: 'Jobs and events',
    schema: listOf(httpUrl),
    fallback: '',
    expects: `a list of at most ${LIST_MAX} http(s) URLs without user, query or fragment`,
    example: 'https://hooks.example.org/notices',
    help: 'Webhook URLs that the notices of all users of this node are posted to, comma-separated; nothing is posted without `FEDERATION_WEBHOOK_SECRET`.',
  },
  federationWebhookSecret: {
    env: 'FEDERATION_WEBHOOK_SECRET',
    section: 'Jobs and events',
    schema: z.string().min(16).max(1024),
    expects: 'a secret of 16 to 1024 characters',
    example: '<a long random string>',
    help: 'Secret for the HMAC signature of each webhook, those of notices too.',
    secret: true,
  },
  twilioAccountSid: {
    env: 'TWILIO_ACCOUNT_SID',
    aliases: ['TWILIO_SID'],
    section: 'Jobs and events',
    schema: z.string().regex(/^AC[0-9a-zA-Z]{32}$/),
    expects: 'an account SID: AC and 32 letters or digits',
    example: 'AC<32 hex digits>',
    help: 'Twilio account SID for SMS. Alias: `TWILIO_SID`.',
    secret: true,
  },
  twilioAuthToken: {
    env: 'TWILIO_AUTH_TOKEN',
    section: 'Jobs and events',
    schema: z.string().regex(/^[\x21-\x7e]{8,256}$/),
    expects: 'a token of 8 to 256 visible ASCII characters',
    example: '<the account’s token>',
    help: 'Auth token of that Twilio account.',
    secret: true,
  },
  twilioSmsNumber: {
    env: 'TWILIO_SMS_NUMBER',
    aliases: ['TWILIO_FROM_NUMBER'],
    section: 'Jobs and events',
    schema: z.string().regex(/^\+[1-9]\d{6,14}$/),
    expects: 'a phone number such as +254700000000',
    example: '+254700000000',
    help: 'Phone number that SMS are sent from. Alias: `TWILIO_FROM_NUMBER`.',
  },
  myceliumPort: {
    env: 'MYCELIUM_PORT',
    section: 'Mycelium',
    schema: wholeNumber(0, 65_535),
    fallback: '7000',
    expects: 'a whole number from 0 to 65535',
    example: '7000',
    help: 'TCP port for peers; 0 picks any free port.',
  },
  myceliumHost: {
    env: 'MYCELIUM_HOST',
    section: 'Mycelium',
    schema: address,
    expects: 'an IP address',
    example: '0.0.0.0',
    help: 'IP address to listen on for peers. Default: `HOST` if it is an IP address, otherwise 127.0.0.1. Set to 0.0.0.0 when the API is behind a proxy.',
  },
  myceliumAnnounce: {
    env: 'MYCELIUM_ANNOUNCE',
    section: 'Mycelium',
    schema: listOf(multiaddrText),
    fallback: '',
    expects: `a list of at most ${LIST_MAX} multiaddrs`,
    example: '/dns4/node.example.org/tcp/7000',
    help: 'Multiaddrs to announce to peers instead of the listening ones, comma-separated.',
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
    help: 'API URLs of nodes to ask for their multiaddrs, comma-separated.',
  },
  myceliumNetwork: {
    env: 'MYCELIUM_NETWORK',
    section: 'Mycelium',
    schema: z.string().regex(/^[a-z0-9-]{1,32}$/),
    fallback: 'agrinet',
    expects: 'a name of 1 to 32 characters of a-z, 0-9 and -',
    example: 'agrinet',
    help: 'Network name. It is part of every header and protocol ID; nodes of different networks never connect.',
  },
  myceliumPskFile: {
    env: 'MYCELIUM_PSK_FILE',
    section: 'Mycelium',
    schema: line(4096).transform((path) => resolve(path)),
    expects: 'the path of a file',
    example: './swarm.key',
    help: 'Pre-shared network key of libp2p (`swarm.key`); only nodes with the same key can connect.',
  },
  myceliumMdns: {
    env: 'MYCELIUM_MDNS',
    section: 'Mycelium',
    schema: onOff,
    fallback: 'off',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Whether to discover nodes on the local network with mDNS.',
  },
  myceliumPeerExchange: {
    env: 'MYCELIUM_PEER_EXCHANGE',
    section: 'Mycelium',
    schema: onOff,
    fallback: 'on',
    expects: '"on" or "off"',
    example: 'off',
    help: 'Whether to exchange signed peer addresses with peers, in addition to the DHT.',
  },
  myceliumRelay: {
    env: 'MYCELIUM_RELAY',
    section: 'Mycelium',
    schema: onOff,
    fallback: 'off',
    expects: '"on" or "off"',
    example: 'on',
    help: 'Whether to use circuit relays, and to offer one to nodes behind NAT.',
  },
  myceliumTargetDegree: {
    env: 'MYCELIUM_TARGET_DEGREE',
    section: 'Mycelium',
    schema: wholeNumber(1, 64),
    fallback: '8',
    expects: 'a whole number from 1 to 64',
    example: '8',
    help: 'Number of connections to registered peers that the node tries to keep open.',
  },
  myceliumStrangerSlots: {
    env: 'MYCELIUM_STRANGER_SLOTS',
    section: 'Mycelium',
    schema: wholeNumber(0, 256),
    fallback: '16',
    expects: 'a whole number from 0 to 256',
    example: '16',
    help: 'Maximum connections from unregistered nodes. They never displace a registered node.',
  },
  dataDir: {
    env: 'DATA_DIR',
    section: 'Storage and logs',
    schema: line(4096).transform((path) => resolve(path)),
    fallback: './data',
    expects: 'the path of a folder',
    example: './data',
    help: 'Folder for the database, the identity and the API key; relative paths start at the working directory.',
  },
  authorQuotaMb: {
    env: 'AUTHOR_QUOTA_MB',
    section: 'Storage and logs',
    schema: wholeNumber(0, 1_000_000),
    fallback: '512',
    expects: 'a whole number from 0 to 1000000',
    example: '512',
    help: 'Maximum size of the entries kept of each other node, MiB; an eighth of it for pending operations. 200,000 listings take about 90, with five updates each about 500; the database needs about five times as much. Beyond the quota, no more entries of that node are accepted until it is raised, here or for one node with `agrinet nodes set`. 0 means no limit.',
  },
  authorQuotaPending: {
    env: 'AUTHOR_QUOTA_PENDING',
    section: 'Storage and logs',
    schema: wholeNumber(0, 10_000_000),
    fallback: '50000',
    expects: 'a whole number from 0 to 10000000',
    example: '50000',
    help: 'Maximum pending operations kept for each other node; 0 means no limit.',
  },
  diskReserveMb: {
    env: 'DISK_RESERVE_MB',
    section: 'Storage and logs',
    schema: wholeNumber(0, 1_000_000),
    fallback: '64',
    expects: 'a whole number from 0 to 1000000',
    example: '64',
    help: 'Free disk space to keep, MiB. When less is left, writes are answered with 507; reads continue.',
  },
  logLevel: {
    env: 'LOG_LEVEL',
    section: 'Storage and logs',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    fallback: 'info',
    expects: 'one of trace, debug, info, warn, error, fatal, silent',
    example: 'info',
    help: 'Lowest level that is logged. `debug` also prints the stack trace of an error that ends a command.',
  },
  mirror: {
    env: 'MIRROR',
    section: 'Mirror',
    schema: z.enum(['auto', 'off']),
    fallback: 'auto',
    expects: '"auto" or "off"',
    example: 'auto',
    help: 'Whether to mirror records to DynamoDB. `auto` does so when `AWS_REGION` or `DYNAMODB_ENDPOINT` is set.',
  },
  mirrorPrefix: {
    env: 'MIRROR_PREFIX',
    section: 'Mirror',
    schema: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/),
    expects: 'a prefix of 1 to 64 characters of A-Z, a-z, 0-9, _, . and -',
    example: 'nairobi-',
    help: 'Prefix of the mirror’s table names. Each set of tables belongs to one daemon.',
  },
  awsRegion: {
    env: 'AWS_REGION',
    section: 'Mirror',
    schema: z.string().regex(/^[a-z0-9-]{1,64}$/),
    expects: 'the name of an AWS region',
    example: 'eu-west-1',
    help: 'AWS region of the DynamoDB tables.',
  },
  dynamodbEndpoint: {
    env: 'DYNAMODB_ENDPOINT',
    section: 'Mirror',
    schema: httpUrl,
    expects: 'an http(s) URL without user, query or fragment',
    example: 'http://127.0.0.1:8000',
    help: 'Endpoint of another DynamoDB, such as DynamoDB Local.',
  },
  awsAccessKeyId: {
    env: 'AWS_ACCESS_KEY_ID',
    section: 'Mirror',
    schema: z.string().regex(/^[\x21-\x7e]{1,128}$/),
    expects: 'an access key id of 1 to 128 visible ASCII characters',
    example: '<an access key id>',
    help: 'Access key ID for DynamoDB. If unset, the AWS SDK uses its default credential chain: profile, container, instance role.',
    secret: true,
  },
  awsSecretAccessKey: {
    env: 'AWS_SECRET_ACCESS_KEY',
    section: 'Mirror',
    schema: z.string().regex(/^[\x21-\x7e]{1,256}$/),
    expects: 'a secret of 1 to 256 visible ASCII characters',
    example: '<its secret>',
    help: 'Secret of that access key.',
    secret: true,
  },
  backendUrl: {
    env: 'BACKEND_URL',
    section: 'Command line',
    schema: httpUrl,
    fallback: 'http://127.0.0.1:5000',
    expects: 'an http(s) URL without user, query or fragment',
    example: 'http://127.0.0.1:5000',
    help: 'URL of the daemon that the command line talks to.',
  },
  backupPassphrase: {
    env: 'BACKUP_PASSPHRASE',
    section: 'Command line',
    schema: line(1024),
    expects: 'one line of at most 1024 characters',
    example: 'a sentence of many words',
    help: 'Passphrase that protects the keys in a backup, for `backup --with-keys` and `restore`. If unset, both ask for it on the terminal.',
    secret: true,
  },
} as const satisfies Record<string, Definition>;

/** Whether a circle is one; a file is read at start. */
function isFence(text: string): boolean {
  try {
    fenceFromText(text);
    return true;
  } catch {
    return false; // that it is malformed is the answer
  }
}

function isPlainHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false;
  return url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

/** Loads the parser when there is an address to parse: most commands have none, and every command reads the settings. */
function isMultiaddr(text: string): boolean {
  const { multiaddr } = createRequire(import.meta.url)('@multiformats/multiaddr') as typeof Multiformats;
  try {
    multiaddr(text);
    return true;
  } catch {
    return false; // that it cannot be parsed is the answer
  }
}

function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'redis:' || url.protocol === 'rediss:') && url.hostname !== '';
}
