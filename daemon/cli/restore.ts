import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { durationText, JSON_OPTION, localTime, printable, printJson, printLine } from './output.ts';
import { withSteps } from './progress-bar.ts';
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
    .description('restore a backup into an empty DATA_DIR (key files may be present); stop the daemon first')
    .argument('<file>', 'a file written by agrinet backup')
    .option('--without-keys', 'do not restore keys from the backup; use those in DATA_DIR')
    .option('--passphrase-file <file>', 'read the passphrase from a file that only you can read')
    .option(...JSON_OPTION)
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
      printLine(
        `Restored ${peerId} into ${dataDir}: ${records} records, including ${entries} signed entries,`,
      );
      printLine(`as of ${localTime(createdAt)}, ${age} ago. Recomputed digest: ${digest}`);
      if (keyFiles.length > 0) printLine(`Keys restored: ${keyFiles.join(', ')}.`);
      if (pepperMissing)
        printLine(
          'Put key-pepper back before you start the daemon: API keys are hashed with it. Its error message explains how to give those keys up instead.',
        );
      if (keyFiles.includes('swarm.key')) printLine(`Set MYCELIUM_PSK_FILE=${dataDir}/swarm.key.`);
      if (network !== settings.myceliumNetwork) printLine(`Set MYCELIUM_NETWORK=${printable(network)}.`);
      printLine(
        'Now start the daemon. Entries written since the backup come back from peers; no new commitments are made until they have answered.',
      );
    });
}
