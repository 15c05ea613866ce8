import { Command } from 'commander';
import { readSettings, refuseWeakSecrets } from '../secrets.ts';
import { settingsHelp } from '../settings.ts';

/** `agrinet start`: runs the daemon until it is told to stop. */
export function startCommand(): Command {
  return new Command('start')
    .description('run the daemon in the foreground; stop it with SIGINT or SIGTERM')
    .addHelpText('after', () => `\n${settingsHelp()}`)
    .action(async () => {
      const settings = readSettings();
      refuseWeakSecrets(settings);
      const { runDaemon } = await import('../daemon.ts'); // libp2p and Automerge, which no other command needs
      await runDaemon(settings);
    });
}
