import { join as joinPath } from 'node:path';
import { expect, it } from 'vitest';
import { agrinetHere } from '../support/cli.ts';
import { join } from '../support/daemon.ts';
import { Federation } from '../support/federation.ts';
import { linesOf, type MarketUser, marketUser, userWith } from '../support/market-users.ts';
import { tempDir } from '../support/temp-dir.ts';
import { twilioServer } from '../support/twilio-server.ts';
import { waitFor } from '../support/wait.ts';

it('after a restore nothing is sent again that the provider has: what waited at the backup, and what came after it', async () => {
  const twilio = await twilioServer();
  const federation = new Federation();
  const copy = tempDir('sms-restored');
  try {
    const first = await federation.add();
    const second = await federation.add(twilio.settings);
    await join(first, second);
    const mary = await marketUser(first, 'mary');
    const zuri = await marketUser(second, 'zuri');
    const phone = '+254700556699';
    await zuri.json('PATCH', '/users/zuri', { phone });
    const { id: chat } = await mary.json<{ id: string }>('POST', '/conversations', {
      title: 'Restored',
      participants: [`zuri@${second.peerId}`],
    });
    const lines = async (user: MarketUser) => (await linesOf(user)).toReversed();
    const states = async (user: MarketUser): Promise<unknown[]> => (await lines(user)).map(({ sms }) => sms);
    const taken = () => twilio.taken.filter(({ to }) => to === phone);

    let tries = 0;
    twilio.become({
      behave: () => {
        tries += 1;
        return { answer: 'refuses', status: 429 };
      },
    });
    await mary.json('POST', `/messages/${chat}`, { content: 'waits' });
    await waitFor('a try', async () => tries > 0 && String(await states(zuri)) === 'queued');
    const file = joinPath(copy.path, 'backup');
    const keyed = { BACKUP_PASSPHRASE: 'lorry maize nine market scale' };
    const saved = await agrinetHere(second, ['backup', file, '--with-keys'], {
      DATA_DIR: second.dir,
      ...keyed,
    });
    expect(saved).toMatchObject({ code: 0 });
    twilio.become({});
    await mary.json('POST', `/messages/${chat}`, { content: 'comes later' });
    await waitFor('both SMS', async () => String(await states(zuri)) === 'sent,sent', 30_000);
    expect(taken()).toHaveLength(2);

    await second.stop();
    const dir = joinPath(copy.path, 'data');
    expect(await agrinetHere(undefined, ['restore', file], { DATA_DIR: dir, ...keyed })).toMatchObject({
      code: 0,
    });
    const restored = await federation.start(dir, twilio.settings);
    const again = userWith(restored, 'zuri', zuri.key);
    await waitFor('both lines', async () => String(await states(again)) === 'sent,sent', 60_000);
    expect((await lines(again)).map(({ possibleRepeat }) => possibleRepeat)).toEqual([undefined, true]);
    expect(taken()).toHaveLength(2);
    // What is new goes out as ever.
    await mary.json('POST', `/messages/${chat}`, { content: 'is new' });
    await waitFor('it', async () => String(await states(again)) === 'sent,sent,sent', 30_000);
    expect(taken()).toHaveLength(3);
  } finally {
    await federation.close();
    await twilio.close();
    copy.remove();
  }
}, 120_000);
