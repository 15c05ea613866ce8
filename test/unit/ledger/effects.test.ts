import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { draftFact } from '../../../protocols/ledger/drafts.ts';
import { fromHex } from '../../../protocols/wire/bytes.ts';
import { decodeCbor, encodeCbor, type Cbor } from '../../../protocols/wire/cbor.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { Hand, listingOps, openLedger, priceOps, type TestLedger } from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

let node: TestLedger;
let author: Hand;
const folder = tempDir('effects');

beforeAll(async () => {
  node = await openLedger(folder.path, nodeOf(1));
  author = new Hand(nodeOf(2), '00000000000000aa');
  node.followStates.set(author.identity.peerId, 'followed');
});
afterAll(async () => {
  await node.close();
  folder.remove();
});

it('an op that is rejected by itself is listed and not kept with its record, so that both roads count the same ops', async () => {
  const key = recordKey('listings', author.identity.peerId, 'a');
  const [create = new Uint8Array(0)] = listingOps(author.pen, 'a', undefined, { title: 'Maize' });
  const broken = encodeOp({
    v: 1,
    c: 'listings',
    k: `${author.identity.peerId}/a`,
    t: 'delta',
    d: new Uint8Array(3),
  });
  node.verdicts();
  const [result] = await node.ledger.receive([author.next([broken, create, broken]).bytes]);
  expect(result?.kind).toBe('accept');
  expect(node.verdicts().map(({ key: of, verdict }) => [of, verdict])).toEqual([
    [key, { state: 'rejected', code: 'change-malformed' }],
    [key, { state: 'applied' }],
    [key, { state: 'rejected', code: 'change-malformed' }],
  ]);
  expect((await node.store.recordOps(key)).map(({ index }) => index)).toEqual([1]);
  expect((await node.store.records([key]))[0]?.ops).toBe(1);
});

it('a copy of a known entry is known, but told apart when signature or body is not the same', async () => {
  const entry = author.next(priceOps(author.pen, 'Nairobi', 40));
  const stranger = author.sign(priceOps(author.pen, 'Nairobi', 41), { seq: author.seq });
  expect((await node.ledger.receive([entry.bytes]))[0]?.kind).toBe('accept');
  expect((await node.ledger.receive([entry.bytes]))[0]).toMatchObject({ kind: 'known' });
  expect((await node.ledger.receive([entry.bytes]))[0]?.code).toBeUndefined();
  const forged = Uint8Array.from(entry.envelopeBytes);
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
  const ops = entry.body.flatMap((item) => ('op' in item ? [item.op] : []));
  const otherOps = stranger.body.flatMap((item) => ('op' in item ? [item.op] : []));
  for (const copy of [encodeCbor([forged, ops]), encodeCbor([entry.envelopeBytes, otherOps])])
    expect((await node.ledger.receive([copy]))[0]).toMatchObject({ kind: 'known', code: 'copy-differs' });
});

it('a body that is not the signed one is rejected beyond a gap too, because what lies beyond one is forwarded', async () => {
  const beyond = author.sign(priceOps(author.pen, 'Kisumu', 40), {
    seq: author.seq + 5,
    prev: '11'.repeat(32),
  });
  const forged = encodeCbor([beyond.envelopeBytes, priceOps(author.pen, 'Kisumu', 41)]);
  expect((await node.ledger.receive([beyond.bytes]))[0]?.kind).toBe('gap');
  expect((await node.ledger.receive([forged]))[0]).toMatchObject({ kind: 'reject', code: 'body-mismatch' });
});

it('the payload of a fact is a map: bytes and links are none', async () => {
  const link = decodeCbor(fromHex('d82a450001710000'));
  const payloads = [new Uint8Array(0), new Uint8Array(2), [], 'text', 1, null, link as Cbor];
  const ops = payloads.map((d) => encodeOp({ v: 1, c: 'prices', k: '', t: 'fact', d: encodeCbor(d) }));
  node.verdicts();
  await node.ledger.receive([author.next(ops).bytes]);
  const codes = node.verdicts().map(({ verdict }) => ('code' in verdict ? verdict.code : verdict.state));
  expect(codes).toEqual(payloads.map(() => 'fact-malformed'));
});

it('text without one encoding is refused before it is signed', () => {
  const price = { date: '2026-01-01', commodity: 'Maize', unit: 'kg', currency: 'KES', price: 1 };
  for (const market of ['\uFEFFNairobi', 'Nairobi \uD800'])
    expect(() => draftFact(author.pen, 'prices', { ...price, priceType: 'Retail', market })).toThrow(
      /market: must/,
    );
});
