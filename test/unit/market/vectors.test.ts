import { contractVerdict } from '../../support/vectors/words.ts';
import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { readExport } from '../../../daemon/federation/legacy-stream.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { readPrefixAnswer, branchAt, type PrefixRow } from '../../../protocols/digest/prefix.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { lineHash, NO_LINES, type AuditLine } from '../../../protocols/audit/chain.ts';
import { evaluateContract } from '../../../protocols/market/contract/machine.ts';
import type { Contract } from '../../../protocols/market/contract/model.ts';
import { verifyTransition } from '../../../protocols/market/contract/statement.ts';
import { type IssuedAttestation, verifyAttestation } from '../../../protocols/market/deal-note/evidence.ts';
import { fenceFromGeoJson, fenceFromText, fenceReason } from '../../../protocols/market/geofence.ts';
import { type Cell, type Quote } from '../../../protocols/market/price-cells.ts';
import { cellsOf } from '../../support/cells-of.ts';
import { countBand, priceKindOf, twoDigits } from '../../../protocols/market/price-kind.ts';
import { messageOrder, type OrderedMessage } from '../../../protocols/market/message-order.ts';
import { readRating } from '../../../protocols/market/rating.ts';
import {
  type HeldPrice,
  makeSnapshot,
  type RegionCount,
  type Snapshot,
} from '../../../protocols/market/trend-snapshot.ts';
import { verifySnapshot } from '../../../protocols/market/trend-verify.ts';
import { type NoteInput, readNote } from '../../../protocols/market/rating-notes.ts';
import { atOnce } from '../../../protocols/ledger/turn.ts';
import type { RatingInput } from '../../../protocols/market/rating-verdicts.ts';
import { reputationProof, reputationText } from '../../../protocols/market/reputation.ts';
import { decodeFeedHead, FEED_END_BYTES, isFeedEnd } from '../../../protocols/mycelium/feed-file.ts';
import { decodeItems } from '../../../protocols/mycelium/item-sequence.ts';
import { base64url, fromHex, hex, sha256Hex } from '../../../protocols/wire/bytes.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { outcomeOf } from '../../support/vectors/outcome.ts';

interface FactCase {
  readonly name: string;
  readonly key: RecordKey;
  readonly fact: Record<string, string | number>;
  readonly problem: string | null;
}
interface Vectors {
  readonly contracts: {
    readonly contract: Contract;
    readonly statements: { name: string; hash: string; bytes: string }[];
    readonly refused: { name: string; bytes: string; code: string }[];
    readonly states: { name: string; statements: string[]; verdict: object }[];
  };
  readonly dealNotes: {
    readonly word: IssuedAttestation;
    readonly bytes: string;
    readonly refused: { name: string; bytes: string; code: string }[];
  };
  readonly ratings: {
    readonly network: string;
    readonly facts: (FactCase & { role: string | null })[];
    readonly notes: FactCase[];
    readonly reputations: {
      subject: string;
      roots: PeerId[];
      adjudicators: PeerId[];
      asOf: number;
      received: RatingInput[];
      given: RatingInput[];
      notes: NoteInput[];
      proof: string;
    }[];
  };
  readonly priceCells: {
    readonly bands: readonly (readonly [number, number])[];
    readonly medians: readonly (readonly [number, number])[];
    readonly cells: { quotes: Quote[]; week: string; leastTrades: number; cells: Cell[] };
    readonly facts: readonly { owner: string; fact: Record<string, string | number>; kind: string | null }[];
  };
  readonly trends: { prices: HeldPrice[]; transactions: RegionCount[]; snapshot: Snapshot };
  readonly geofence: {
    name: string;
    fence: string | object;
    points: { fields: Record<string, unknown>; reason: string | null }[];
  }[];
  readonly conversations: { messages: OrderedMessage[]; order: string[] };
  readonly audit: AuditLine[];
  readonly digestTree: {
    collection: string;
    owner: PeerId;
    rows: PrefixRow[];
    answers: { prefix: string }[];
    refused: { name: string; prefix: string; answer: unknown; code: string }[];
  };
  readonly feedFile: { from: PeerId; items: string[]; sequence: string; file: string };
  readonly export: { json: string; lines: string[] };
}
const vectors = JSON.parse(
  readFileSync(new URL('../../../protocols/vectors.json', import.meta.url), 'utf8'),
) as Vectors;

describe('contracts', () => {
  const { contract, statements, refused, states } = vectors.contracts;
  const opened = new Map(statements.map(({ name, bytes }) => [name, verifyTransition(fromHex(bytes))]));
  it('statements have the names they say', () => {
    for (const { name, hash } of statements) expect(opened.get(name)?.hash).toBe(hash);
  });
  test.each(refused)('no statement: $name', ({ bytes, code }) => {
    expect(outcomeOf(() => verifyTransition(fromHex(bytes)))).toBe(code);
  });
  test.each(states)('state: $name', ({ statements: names, verdict }) => {
    const set = names.flatMap((name) => opened.get(name) ?? []);
    expect(set).toHaveLength(names.length);
    for (const order of [set, set.toReversed(), [...set, ...set]])
      expect(contractVerdict(evaluateContract(contract, order))).toEqual(verdict);
  });
});

describe('the word of a deal note', () => {
  const { word, bytes, refused } = vectors.dealNotes;
  it('says what it says, by the node that signed it', () => {
    expect(verifyAttestation(base64url(fromHex(bytes)))).toEqual(word);
  });
  test.each(refused)('no word: $name', ({ bytes: other, code }) => {
    expect(code).toBe('note-altered');
    expect(outcomeOf(() => verifyAttestation(base64url(fromHex(other))))).toBe(code);
  });
});

describe('ratings', () => {
  const { network, facts, notes, reputations } = vectors.ratings;
  test.each(facts)('$name: $problem', ({ key, fact, problem, role }) => {
    expect(readRating(key, fact, network, 0)).toMatchObject({ problem, role });
  });
  test.each(notes)('a note $name: $problem', ({ key, fact, problem }) => {
    expect(readNote(key, fact, 0).problem).toBe(problem);
  });
  test.each(reputations)('the proof of $subject, byte for byte', ({ subject, proof, ...given }) => {
    const { roots, adjudicators, asOf, received, given: by, notes: said } = given;
    const turned = { roots: roots.toReversed(), adjudicators, asOf };
    for (const order of [received, received.toReversed()])
      expect(
        [
          ...reputationText(
            atOnce(reputationProof(subject, { received: order, given: by, notes: said }, turned)),
          ),
        ].join(''),
      ).toBe(proof);
  });
});

it('a trend snapshot comes out of its prices in any order, and is verified', () => {
  const { prices, transactions, snapshot } = vectors.trends;
  const { region, publishedAt } = snapshot;
  expect(makeSnapshot(prices.toReversed(), { region, publishedAt, transactions })).toEqual(snapshot);
  expect(verifySnapshot(snapshot, prices).verdict).toBe('verified');
});

test.each(vectors.geofence)('geofence: $name', ({ fence: given, points }) => {
  const fence = typeof given === 'string' ? fenceFromText(given) : fenceFromGeoJson(given);
  expect(fence).toBeDefined();
  if (fence !== undefined)
    for (const { fields, reason } of points) expect(fenceReason(fence, fields) ?? null).toBe(reason);
});

it('cells come out of their quotes in any order, and prices are of a cell or not', () => {
  const { bands, medians, cells, facts } = vectors.priceCells;
  for (const [count, band] of bands) expect(countBand(count)).toBe(band);
  for (const [median, told] of medians) expect(twoDigits(median)).toBe(told);
  expect(cells.cells.length).toBeGreaterThan(0);
  for (const quotes of [cells.quotes, cells.quotes.toReversed()])
    expect(cellsOf(quotes, cells.week, cells.leastTrades)).toEqual(cells.cells);
  for (const { owner, fact, kind } of facts) expect(priceKindOf(fact, owner) ?? null).toBe(kind);
});

it('messages come in one order', () => {
  const { messages, order } = vectors.conversations;
  for (const given of [messages, messages.toReversed()])
    expect(messageOrder(given).map(({ hash }) => hash)).toEqual(order);
});

it('an audit log is a chain', () => {
  let prev = NO_LINES.hash;
  for (const line of vectors.audit) {
    expect(line.prev).toBe(prev);
    expect(lineHash(line)).toBe(line.hash);
    prev = line.hash;
  }
});

describe('differences by prefix', () => {
  const { collection, owner, rows, answers, refused } = vectors.digestTree;
  test.each(answers)('the answer about "$prefix"', (answer) => {
    expect(branchAt(rows, answer.prefix)).toEqual(answer);
    expect(readPrefixAnswer(answer, { collection, owner, prefix: answer.prefix })).toEqual(answer);
  });
  test.each(refused)('not believed: $name', ({ prefix, answer, code }) => {
    expect(outcomeOf(() => readPrefixAnswer(answer, { collection, owner, prefix }))).toBe(code);
  });
});

it('a feed file is its head, the sequence that HTTPS carries, and an end that counts and hashes', async () => {
  const { from, items, sequence, file } = vectors.feedFile;
  const bytes = fromHex(file);
  const head = decodeFeedHead(bytes);
  expect(head).toMatchObject({ from, to: undefined });
  const [body, end] = [bytes.subarray(head.length, -FEED_END_BYTES), bytes.subarray(-FEED_END_BYTES)];
  expect(isFeedEnd(end)).toBe(true);
  expect(hex(body)).toBe(sequence);
  expect(hex(end.subarray(-32))).toBe(sha256Hex(bytes.subarray(0, -FEED_END_BYTES)));
  const read = await Array.fromAsync(decodeItems(inPieces(body, 7)));
  expect(read).toHaveLength(items.length);
});

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

it('an export is what it says of itself, in either form', async () => {
  const { json, lines } = vectors.export;
  const reading = readExport(inPieces(new TextEncoder().encode(json), 11), systemEnv);
  let step = await reading.next();
  while (step.done !== true) step = await reading.next();
  expect(step.value).toMatchObject({ count: step.value.claimedCount, sha256: step.value.claimedSha256 });
  const items = lines.slice(1, -1).map((line) => `${line}\n`);
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
    count: items.length,
    sha256: sha256Hex(items.join('')),
  });
  await expect(
    Array.fromAsync(readExport(inPieces(new TextEncoder().encode('[]'), 1), systemEnv)).catch(errorCode),
  ).resolves.toBe('export-malformed');
});
