import { Command } from 'commander';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { identityPath, readIdentity } from '../identity-file.ts';
import { readSettings } from '../secrets.ts';
import { isLoopbackHost, type Settings } from '../settings.ts';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, type JsonFlag, printable, printAnswer } from './output.ts';
import { knownPassphrase, newPassphrase, type PassphraseSources } from './passphrase.ts';
import { systemEnv } from '../system-env.ts';

/** `agrinet identity`: this node's identity; from DATA_DIR while the daemon is down. */
export function identityCommand(): Command {
  const identity = new Command('identity').description(
    'show the peer ID and addresses of this node; export and import its key',
  );
  identity
    .command('show', { isDefault: true })
    .description(
      'show the peer ID and addresses of this node; while the daemon is stopped, the peer ID in DATA_DIR',
    )
    .option(...JSON_OPTION)
    .action(show);
  identity
    .command('export')
    .description('write the node key in DATA_DIR to a file, encrypted with a passphrase')
    .argument('<file>', 'file to write; must not exist yet, unless --force is given')
    .option(...PASSPHRASE_FILE)
    .option('--force', 'overwrite an existing file')
    .option(...JSON_OPTION)
    .action(exportTo);
  identity
    .command('import')
    .description('put an exported node key into DATA_DIR; a key that is there is never replaced')
    .argument('<file>', 'a file written by agrinet identity export')
    .option(...PASSPHRASE_FILE)
    .option('--force', 'also beside a database in which that node has written nothing')
    .option(...JSON_OPTION)
    .action(importFrom);
  return identity;
}

const PASSPHRASE_FILE = [
  '--passphrase-file <file>',
  'read the passphrase from a file that only you can read',
] as const;

interface TransferOptions extends JsonFlag {
  readonly passphraseFile?: string;
  readonly force?: true;
}

async function show(form: JsonFlag): Promise<void> {
  printAnswer(await whoIs(readSettings()), form, (who) =>
    Object.entries(who)
      .flatMap(([name, value]) => [value].flat().map((each) => [name, String(each)] as const))
      .map(([name, each]) => `${printable(name)}: ${printable(each, 300)}`)
      .join('\n'),
  );
}

function sources(settings: Settings, { passphraseFile }: TransferOptions): PassphraseSources {
  return { file: passphraseFile, setting: settings.backupPassphrase, what: 'node key' };
}

async function exportTo(file: string, options: TransferOptions): Promise<void> {
  const settings = readSettings();
  const { dataDir } = settings;
  const passphrase = await newPassphrase(sources(settings, options));
  const { exportIdentity } = await import('../identity-transfer.ts');
  const force = options.force === true;
  const peerId = await exportIdentity({ dataDir, file, force, passphrase, env: systemEnv });
  printAnswer({ file, peerId }, options, () =>
    [
      `${file}: the key of ${peerId}; verified.`,
      'Nobody can recover it without the passphrase, not even you. Never run two nodes with it at the same time.',
    ].join('\n'),
  );
}

async function importFrom(file: string, options: TransferOptions): Promise<void> {
  const settings = readSettings();
  const { dataDir } = settings;
  const { importIdentity } = await import('../identity-transfer.ts');
  const passphrase = () => knownPassphrase(sources(settings, options));
  const force = options.force === true;
  const imported = await importIdentity({ dataDir, file, passphrase, force, env: systemEnv });
  const path = identityPath(dataDir);
  printAnswer(imported, options, ({ peerId, isNew }) =>
    isNew
      ? `${path} is now the key of ${peerId}. Never run two nodes with it at the same time.`
      : `${path} is the key of ${peerId} already; nothing was changed.`,
  );
}

async function whoIs(settings: Settings): Promise<Record<string, unknown>> {
  try {
    return {
      ...(await answerOf(connect(settings).api.federation.identity.$get({ query: {} }))),
      running: true,
    };
  } catch (error) {
    // A BACKEND_URL elsewhere asks for another node; the key in our folder does not answer that.
    const local = isLoopbackHost(new URL(settings.backendUrl).hostname);
    if (errorCode(error) !== 'daemon-not-running' || !local) throw error;
  }
  const identity = await readIdentity(settings.dataDir);
  if (identity !== undefined) return { peerId: identity.peerId, running: false };
  const message = `There is no ${identityPath(settings.dataDir)} yet. \`agrinet start\` creates it.`;
  throw new AgrinetError('daemon-not-running', message);
}
