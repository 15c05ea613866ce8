import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { connect } from './client.ts';
import { bytesText, localTime, printJson, printLine, withSteps } from './output.ts';
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
    .description(
      'write all that the node holds into one file, while it goes on; checked whole before it counts',
    )
    .argument('<file>', 'where to; never over a file that is there')
    .option('--with-keys', 'put the keys in DATA_DIR in, encrypted with a passphrase')
    .option('--passphrase-file <file>', 'take the passphrase from a file that only you can read')
    .option('--force', 'replace the file')
    .option('--json', 'print one line of JSON')
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
      if (!running) printLine('No daemon runs here: the backup was taken from DATA_DIR itself.');
      printLine(
        `${file}: ${records} records in ${bytesText(fileBytes)}, as of ${localTime(createdAt)}; checked.`,
      );
      printLine(
        withKeys
          ? 'The keys are in it. Without the passphrase nobody opens them, you neither.'
          : 'No keys are in it: keep a copy of identity.json, api-key and key-pepper elsewhere, or use --with-keys.',
      );
    });
}
