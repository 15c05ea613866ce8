import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { connect } from './client.ts';
import { bytesText, JSON_OPTION, localTime, printJson, printLine } from './output.ts';
import { withSteps } from './progress-bar.ts';
import { newPassphrase } from './passphrase.ts';
import { systemEnv } from '../system-env.ts';

interface Options {
  readonly withKeys?: true;
  readonly passphraseFile?: string;
  readonly force?: true;
  readonly json?: true;
}

/** `agrinet backup FILE`: everything this node holds, of one moment; from the running daemon, or from DATA_DIR while it is down. */
export function backupCommand(): Command {
  return new Command('backup')
    .description('back up the whole node to one verified file while it keeps running')
    .argument('<file>', 'file to write; must not exist yet, unless --force is given')
    .option('--with-keys', 'include the keys in DATA_DIR, encrypted with a passphrase')
    .option('--passphrase-file <file>', 'read the passphrase from a file that only you can read')
    .option('--force', 'overwrite an existing file')
    .option(...JSON_OPTION)
    .action(async (file: string, options: Options) => {
      const settings = readSettings();
      const sources = { file: options.passphraseFile, setting: settings.backupPassphrase };
      const passphrase = options.withKeys === true ? await newPassphrase(sources) : undefined;
      const { brokenOff, takeBackup } = await import('../backup/take-backup.ts');
      const daemon = connect(settings);
      async function* fetched(response: Response): AsyncGenerator<Uint8Array> {
        try {
          for await (const chunk of response.body ?? []) yield chunk;
        } catch (error) {
          throw brokenOff(error);
        }
      }
      const taken = await withSteps((onProgress) =>
        takeBackup(settings, {
          env: systemEnv,
          file,
          force: options.force === true,
          passphrase,
          onProgress,
          fetchBackup: async (keyed) => fetched(await daemon.getStream(`/backup?withKeys=${keyed}`)),
        }),
      );
      const { manifest, records, fileBytes, running } = taken;
      const { peerId, digest, createdAt, withKeys } = manifest;
      if (options.json) {
        printJson({ file, peerId, digest, createdAt, withKeys, records, fileBytes, running });
        return;
      }
      if (!running) printLine('No daemon is running here: the backup was taken directly from DATA_DIR.');
      printLine(
        `${file}: ${records} records, ${bytesText(fileBytes)}, as of ${localTime(createdAt)}; verified.`,
      );
      printLine(
        withKeys
          ? 'Keys are included. Nobody can recover them without the passphrase, not even you.'
          : 'Keys are not included: keep copies of identity.json, api-key and key-pepper elsewhere, or use --with-keys.',
      );
    });
}
