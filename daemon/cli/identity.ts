import { Command } from 'commander';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { identityPath, readIdentity } from '../identity-file.ts';
import { readSettings } from '../secrets.ts';
import { isLoopbackHost, type Settings } from '../settings.ts';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, type JsonFlag, printable, printAnswer } from './output.ts';

/** `agrinet identity`: this node's identity; from DATA_DIR while the daemon is down. */
export function identityCommand(): Command {
  return new Command('identity')
    .description(
      'show the peer ID and addresses of this node; while the daemon is stopped, the peer ID in DATA_DIR',
    )
    .option(...JSON_OPTION)
    .action(async (form: JsonFlag) => {
      printAnswer(await whoIs(readSettings()), form, (who) =>
        Object.entries(who)
          .flatMap(([name, value]) => [value].flat().map((each) => [name, String(each)] as const))
          .map(([name, each]) => `${printable(name)}: ${printable(each, 300)}`)
          .join('\n'),
      );
    });
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
