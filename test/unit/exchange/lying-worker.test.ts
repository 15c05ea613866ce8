import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { type ExchangeNode, startExchangeNode } from '../../support/exchange-node.ts';

const NOTHING = { received: 0, imported: 0, unchanged: 0, refused: 0, bytes: 0 } as const;

let node: ExchangeNode;
let source: ExchangeNode;
let stranger: ExchangeNode;
/** The range of the source's public feed. */
let range: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  [node, source, stranger] = [
    await startExchangeNode(),
    await startExchangeNode(),
    await startExchangeNode(),
  ];
  node.befriend(source);
  node.httpNodes.push({ id: 'legacy:http://127.0.0.1:9', origin: 'http://127.0.0.1:9', status: 'active' });
  await source.ledgerNode.catalogue.createListing({ type: 'offer', title: 'Beans' });
  const answer = await source.fetch(`/federation/feeds/${source.identity.peerId}?channel=public`);
  range = new Uint8Array(await answer.arrayBuffer());
});
afterAll(async () => {
  for (const each of [node, source, stranger]) await each.stop();
});
beforeEach(() => {
  node.outcomes.length = 0;
});

async function refusal(path: string, body: Uint8Array<ArrayBuffer> | string, type: string): Promise<unknown> {
  const response = await fetch(`${node.url}/federation${path}`, {
    method: 'POST',
    headers: { 'x-test-scopes': 'read worker', 'content-type': type },
    body,
  });
  const { code } = (await response.json()) as { code?: string };
  return [response.status, code];
}

const entries = (id: string, feed: { author: string; channel: string }, body = range): Promise<unknown> =>
  refusal(`/entries?${new URLSearchParams({ source: id, ...feed })}`, body, 'application/cbor-seq');
const synced = (outcome: object, id = source.identity.peerId): Promise<unknown> =>
  refusal('/synced', JSON.stringify({ source: id, outcome }), 'application/json');

it('entries are taken from the name of a registered agrinetd and of nobody else', async () => {
  const { peerId: author } = source.identity;
  const before = node.digest();
  for (const id of [stranger.identity.peerId, node.identity.peerId, 'legacy:http://127.0.0.1:9'])
    expect(await entries(id, { author, channel: 'public' }), id).toEqual([404, 'source-unknown']);
  expect(node.digest()).toBe(before);
});

it('entries of another feed than the one named are refused, and so are cut and forged ones', async () => {
  const { peerId: author } = source.identity;
  const before = node.digest();
  const invalid = [400, 'peer-sent-invalid'];
  for (const feed of [
    { author: stranger.identity.peerId, channel: 'public' },
    { author: node.identity.peerId, channel: 'public' },
    { author, channel: recordKey('conversations', author, 'c') },
  ])
    expect(await entries(author, feed), feed.author).toEqual(invalid);
  const forged = range.slice();
  forged.set([(forged.at(-5) ?? 0) ^ 1], forged.length - 5);
  expect(await entries(author, { author, channel: 'public' }, forged)).toEqual(invalid);
  const cut = range.slice(0, -1);
  expect(await entries(author, { author, channel: 'public' }, cut)).toEqual([400, 'body-malformed']);
  expect(node.digest()).toBe(before);
  expect(await entries(author, { author, channel: 'public' })).toEqual([200, undefined]);
  expect(node.digest()).not.toBe(before);
});

it('a body that is a sequence and ends too early is the body’s fault, wherever it is cut off', async () => {
  const { peerId: author } = source.identity;
  const plan = `/plan?${new URLSearchParams({ source: author })}`;
  const shown = await source.fetch('/federation/feeds', { headers: { accept: 'application/cbor-seq' } });
  const frontier = new Uint8Array(await shown.arrayBuffer());
  expect(await refusal(plan, frontier, 'application/cbor-seq')).toEqual([200, undefined]);
  for (const part of [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999]) {
    const cut = frontier.slice(0, Math.floor(part * frontier.length));
    expect(await refusal(plan, cut, 'application/cbor-seq'), `${part}`).toEqual([400, 'body-malformed']);
  }
  for (const part of [0.3, 0.5, 0.7, 0.9, 0.999]) {
    const cut = range.slice(0, Math.floor(part * range.length));
    const answer = await entries(author, { author, channel: 'public' }, cut);
    expect(answer, `${part}`).toEqual([400, 'body-malformed']);
  }
});

it('an outcome that cannot be is refused and nothing is noted', async () => {
  for (const outcome of [
    { ...NOTHING, received: -1 },
    { ...NOTHING, bytes: 1.5 },
    { ...NOTHING, bytes: 2 ** 53 },
    { ...NOTHING, received: 1, receivedPrivate: 2 },
    { ...NOTHING, etag: '"a"\r\nx-api-key: "b"' },
    { ...NOTHING, etag: '"ā"' },
  ])
    expect(await synced(outcome), JSON.stringify(outcome)).toEqual([400, 'fields-invalid']);
  expect(await synced(NOTHING, stranger.identity.peerId)).toEqual([404, 'source-unknown']);
  expect(node.outcomes).toEqual([]);
  expect(await synced({ ...NOTHING, received: 2, receivedPrivate: 2, etag: 'W/"é"' })).toEqual([
    200,
    undefined,
  ]);
});
