import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agrinet } from '../support/cli.ts';
import { digestOf, Federation, type Member, sameDigest } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

async function post(author: Member, title: string): Promise<string> {
  return (await author.json<{ listingId: string }>('POST', '/listings', { type: 'offer', title })).listingId;
}

const holds = async (holder: Member, id: string): Promise<boolean> =>
  (await holder.request('GET', `/listings/${id}`)).ok;

describe('a suspended node', () => {
  const federation = new Federation();
  let author: Member;
  let judge: Member;
  let friend: Member;
  let before = '';
  let during = '';

  beforeAll(async () => {
    author = await federation.add();
    judge = await federation.add();
    friend = await federation.add();
    await federation.registerAll();
    before = await post(author, 'before the cut');
    await sameDigest(federation.members, 10_000);
  });
  afterAll(() => federation.close());

  it('keeps what is held, and nothing it writes later is taken, whoever brings it', async () => {
    const held = (await digestOf(judge)).owners[author.peerId];
    const { code, stdout } = await agrinet(judge, ['suspend', author.peerId]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${author.peerId}: suspended\n` });
    during = await post(author, 'beyond the cut');
    await waitFor('the friend, who suspended nobody, to hold it', () => holds(friend, during));
    // The friend shows and offers it to the judge, who asks for nothing.
    await friend.request('GET', '/federation/sync');
    await judge.request('GET', '/federation/sync');
    // Something of the friend's own has come the same way in the meantime.
    const sign = await post(friend, 'later than the one beyond the cut');
    await waitFor('the sign to arrive', () => holds(judge, sign));
    expect(await holds(judge, during)).toBe(false);
    expect(await holds(judge, before)).toBe(true);
    expect((await digestOf(judge)).owners[author.peerId]).toEqual(held);
    const { nodes } = await judge.json<{ nodes: { peerId: string; status: string }[] }>(
      'GET',
      '/federation/nodes',
    );
    expect(nodes.find(({ peerId }) => peerId === author.peerId)).toMatchObject({ status: 'suspended' });
  });

  it('can not register itself back', async () => {
    const response = await author.request('POST', '/federation/join', { url: judge.url, key: judge.apiKey });
    expect(response.status).toBe(502);
    expect((await digestOf(judge)).owners[author.peerId]?.collections['listings']?.count).toBe(1);
  });

  it('stays suspended over a restart', async () => {
    await judge.stop();
    judge = await federation.start(judge.dir);
    const sign = await post(friend, 'after the restart');
    await waitFor('the sign to arrive', () => holds(judge, sign), 20_000);
    expect(await holds(judge, during)).toBe(false);
  });

  it('is pulled on from the cut when it is resumed', async () => {
    const { code } = await agrinet(judge, ['resume', author.peerId]);
    expect(code).toBe(0);
    await waitFor('what was beyond the cut', () => holds(judge, during), 20_000);
    const live = await post(author, 'live again');
    await waitFor('what is written now', () => holds(judge, live));
    await sameDigest([author, judge, friend], 10_000);
  });
});
