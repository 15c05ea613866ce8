import { afterAll, expect, it } from 'vitest';
import { agrinetHere } from '../support/cli.ts';
import { digestOf, Federation, type Member, sameDigest } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

const federation = new Federation();
afterAll(() => federation.close());

async function post(author: Member, title: string): Promise<string> {
  return (await author.json<{ listingId: string }>('POST', '/listings', { type: 'offer', title })).listingId;
}

const holds = async (holder: Member, id: string): Promise<boolean> =>
  (await holder.request('GET', `/listings/${id}`)).ok;

// Whoever brings it, and over every kind of restart: test/sim/suspension.test.ts.
it('a suspended node is not followed, can not register itself back, and is pulled on from the cut when it is resumed', async () => {
  const [author, judge, friend] = [await federation.add(), await federation.add(), await federation.add()];
  await federation.registerAll();
  const before = await post(author, 'before the cut');
  await sameDigest(federation.members, 10_000);
  const held = (await digestOf(judge)).owners[author.peerId];
  const { code, stdout } = await agrinetHere(judge, ['suspend', author.peerId]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${author.peerId}: suspended\n` });
  const during = await post(author, 'beyond the cut');
  await waitFor('the friend, who suspended nobody, to hold it', () => holds(friend, during));
  for (const member of federation.members) await member.request('GET', '/federation/sync');
  // Something of the friend's own has come the same way in the meantime.
  const sign = await post(friend, 'later than the one beyond the cut');
  await waitFor('the sign to arrive', () => holds(judge, sign));
  const response = await author.request('POST', '/federation/join', { url: judge.url, key: judge.apiKey });
  expect(response.status).toBe(502);
  expect([await holds(judge, before), await holds(judge, during)]).toEqual([true, false]);
  expect((await digestOf(judge)).owners[author.peerId]).toEqual(held);
  expect(held?.collections['listings']?.count).toBe(1);
  const { nodes } = await judge.json<{ nodes: { peerId: string; status: string }[] }>(
    'GET',
    '/federation/nodes',
  );
  expect(nodes.find(({ peerId }) => peerId === author.peerId)).toMatchObject({ status: 'suspended' });

  expect((await agrinetHere(judge, ['resume', author.peerId])).code).toBe(0);
  await waitFor('what was beyond the cut', () => holds(judge, during), 20_000);
  const live = await post(author, 'live again');
  await waitFor('what is written now', () => holds(judge, live));
  await sameDigest(federation.members, 10_000);
});
