import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { durationText, localTime, printable, printJson, printLine, withSteps } from './output.ts';
import { knownPassphrase } from './passphrase.ts';
import { systemEnv } from '../system-env.ts';

interface Options {
  readonly withoutKeys?: true;
  readonly passphraseFile?: string;
  readonly json?: true;
}

/** `agrinet restore FILE`: a backup into an empty DATA_DIR, while the daemon is down. */
export function restoreCommand(): Command {
  return new Command('restore')
    .description('restore a backup into an empty DATA_DIR, in which only keys may lie; the daemon is down')
    .argument('<file>', 'what agrinet backup wrote')
    .option('--without-keys', 'leave the keys in the backup alone; those in DATA_DIR are used')
    .option('--passphrase-file <file>', 'take the passphrase from a file that only you can read')
    .option('--json', 'print one line of JSON')
    .action(async (file: string, options: Options) => {
      const settings = readSettings();
      const { dataDir } = settings;
      const sources = { file: options.passphraseFile, setting: settings.backupPassphrase };
      const { restoreBackup } = await import('../backup/restore-backup.ts');
      const passphrase = options.withoutKeys ? undefined : () => knownPassphrase(sources);
      const restored = await withSteps((onProgress) =>
        restoreBackup({ file, dataDir, passphrase, env: systemEnv, onProgress }),
      );
      const { manifest, records, entries, keyFiles, pepperMissing } = restored;
      const { peerId, network, digest, createdAt } = manifest;
      if (options.json) {
        printJson({ peerId, network, digest, createdAt, records, entries, keyFiles, pepperMissing });
        return;
      }
      const age = durationText(systemEnv.now() - createdAt);
      printLine(`${peerId} is back in ${dataDir}: ${records} records, of them ${entries} signed entries,`);
      printLine(`as of ${localTime(createdAt)}, ${age} ago. Digest ${digest}, computed anew.`);
      if (keyFiles.length > 0) printLine(`Keys from the backup: ${keyFiles.join(', ')}.`);
      if (pepperMissing)
        printLine(
          'Put key-pepper back before you start: the API keys are hashed with it (or give them up, see its error).',
        );
      if (keyFiles.includes('swarm.key')) printLine(`Set MYCELIUM_PSK_FILE=${dataDir}/swarm.key.`);
      if (network !== settings.myceliumNetwork) printLine(`Set MYCELIUM_NETWORK=${printable(network)}.`);
      printLine(
        'Now start the daemon. What it wrote since then comes back from its peers; promises wait until they have answered.',
      );
    });
}
