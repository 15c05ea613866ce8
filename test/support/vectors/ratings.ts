import { readRating, writeReceipt } from '../../../protocols/market/rating.ts';
import { type NoteInput, type NoteKind, readNote } from '../../../protocols/market/rating-notes.ts';
import { atOnce } from '../../../protocols/ledger/turn.ts';
import type { RatingInput } from '../../../protocols/market/rating-verdicts.ts';
import {
  type ReputationFacts,
  reputationProof,
  reputationText,
} from '../../../protocols/market/reputation.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { PARTIES, settles } from './contracts.ts';
import { nodeOf } from './signatures.ts';

const { buyer, supplier, contract, net, time } = PARTIES;
const [A, B, C] = [nodeOf(1).peerId, nodeOf(2).peerId, nodeOf(3).peerId];

/** Rating facts and the problem of each: null is a valid one. */
function facts(): unknown[] {
  const both = settles();
  const receipt = writeReceipt(both.buyer, both.supplier);
  const good = { from: buyer, to: supplier, score: 3, receipt, ratedAt: time };
  const with_ = (wrong: Parameters<typeof settles>[0]): string => {
    const other = settles(wrong);
    return writeReceipt(other.buyer, other.supplier);
  };
  const swapped = receipt.split('.').toReversed().join('.');
  const cases: [string, Record<string, string | number>][] = [
    ['with the receipt of a settled contract', good],
    ['with the receipt written the other way round', { ...good, receipt: swapped }],
    ['by the supplier’s node', { ...good, from: supplier, to: buyer }],
    ['a fraction', { ...good, score: 2.5 }],
    ['five', { ...good, score: 5 }],
    ['no score', { from: buyer, to: supplier, receipt, ratedAt: time }],
    ['of oneself', { ...good, to: buyer }],
    ['of somebody without a node', { ...good, to: 'mary' }],
    ['superseding no local id', { ...good, supersedes: 'a b' }],
    ['a receipt of one statement', { ...good, receipt: receipt.split('.')[0] ?? '' }],
    ['one statement twice', { ...good, receipt: writeReceipt(both.buyer, both.buyer) }],
    ['a receipt of another network', { ...good, receipt: with_({ net: 'other' }) }],
    [
      'a receipt of two contracts',
      { ...good, receipt: with_({ contract: recordKey('contracts', A, 'z'.repeat(43)) }) },
    ],
    ['a receipt with a cancel', { ...good, receipt: with_({ kind: 'cancel' }) }],
    ['a receipt in which both are sellers', { ...good, receipt: bothSellers() }],
    ['a receipt of another user', { ...good, receipt: with_({ party: `else@${B}` }) }],
    ['a receipt with a flipped signature', { ...good, receipt: flipped(receipt) }],
  ];
  return cases.map(([name, fact]) => {
    const key = recordKey('ratings', A, 'r'.repeat(43));
    const { problem, role } = readRating(key, fact, net, time);
    return { name, key, fact, problem, role };
  });
}

/** Both parties sign that they sold. */
function bothSellers(): string {
  return writeReceipt(settles().supplier, settles({}, 'market_seller').buyer);
}

/** The last character of base64url of a signature's last byte, changed within its bits. */
function flipped(receipt: string): string {
  const [one = '', other = ''] = receipt.split('.');
  const bytes = Buffer.from(other, 'base64url');
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  return `${one}.${bytes.toString('base64url')}`;
}

/** Proofs with every verdict in them, as canonical JSON: their bytes are the vector. */
function proofs(): unknown[] {
  const id = (owner: string, n: number): string =>
    `ratings/${owner}/${String(n).padStart(2, '0').repeat(21)}`;
  const rating = (n: number, from: string, score: number, over: Partial<RatingInput> = {}): RatingInput => ({
    id: id(from.slice(from.lastIndexOf('@') + 1), n),
    from,
    to: supplier,
    score,
    contract,
    role: 'market_seller',
    signedAt: time + n,
    settledAt: time,
    supersedes: null,
    problem: null,
    ...over,
  });
  const days = (n: number): number => time + n * 86_400_000;
  const other = (n: number): string => `contracts/${A}/${String(n).repeat(43)}`;
  const ratings = [
    rating(1, `amina@${A}`, 4),
    rating(2, `amina@${A}`, -1, { contract: other(1) }),
    rating(3, `amina@${A}`, 2, { contract: other(1), supersedes: id(A, 2) }),
    rating(4, `amina@${A}`, 0),
    rating(5, `joe@${A}`, 1),
    rating(6, `kim@${C}`, -1),
    rating(7, `own@${B}`, 4),
    rating(8, `eve@${nodeOf(4).peerId}`, 4),
    rating(9, `amina@${A}`, 9),
    rating(10, `kim@${C}`, -1, { contract: other(2), signedAt: days(91) }),
    rating(11, `kim@${C}`, 4, { supersedes: id(C, 6), signedAt: days(91) }),
    rating(12, `joe@${A}`, 3, { contract: other(3), role: 'market_buyer' }),
    rating(13, `joe@${A}`, 0, { contract: other(4) }),
    rating(14, `kim@${C}`, 0, { contract: other(5), problem: 'receipt-role', role: null }),
  ];
  const given = [
    rating(20, supplier, 4, { to: `amina@${A}`, role: 'market_buyer' }),
    rating(21, supplier, 4, { to: `joe@${A}`, role: 'market_buyer', contract: other(6) }),
    rating(22, supplier, 0, { to: `own@${B}`, role: 'market_seller', contract: other(7) }),
    rating(23, supplier, 0, {
      to: `kim@${C}`,
      role: 'market_seller',
      contract: other(8),
      settledAt: days(2),
    }),
  ];
  const note = (
    n: number,
    by: string,
    kind: NoteKind,
    rated: string,
    over: Partial<NoteInput> = {},
  ): NoteInput => ({
    id: `rating-notes/${by.slice(by.lastIndexOf('@') + 1)}/${String(n).padStart(2, '0').repeat(21)}`,
    rating: rated,
    to: supplier,
    kind,
    by,
    why: 'mistaken',
    signedAt: days(1) + n,
    supersedes: null,
    problem: null,
    ...over,
  });
  const notes = [
    note(1, supplier, 'contest', id(C, 6)),
    note(2, `kim@${C}`, 'uphold', id(C, 6)),
    note(3, supplier, 'dismiss', id(A, 5)),
    note(4, `op@${nodeOf(4).peerId}`, 'dismiss', id(A, 12)),
    note(5, `joe@${A}`, 'dismiss', id(A, 13)),
    note(6, `op@${nodeOf(5).peerId}`, 'dismiss', id(A, 1)),
    note(8, supplier, 'contest', id(A, 1), { to: `own@${B}` }),
    note(7, `op@${nodeOf(6).peerId}`, 'dismiss', id(C, 10), { problem: 'note-foreign' }),
  ];
  const view = { roots: [A, B, C], adjudicators: [nodeOf(4).peerId, B], asOf: days(91) };
  const of = (subject: string, facts: Required<ReputationFacts>): unknown => {
    const lists = { received: [...facts.received], given: [...facts.given], notes: [...facts.notes] };
    return {
      subject,
      ...view,
      ...lists,
      proof: [...reputationText(atOnce(reputationProof(subject, lists, view)))].join(''),
    };
  };
  const all = { received: ratings, given, notes };
  return [of(supplier, all), of(B, all), of(supplier, { received: [], given: [], notes: [] })];
}

/** Facts of notes and the problem of each: null is a valid one. */
function noteFacts(): unknown[] {
  const good = {
    rating: recordKey('ratings', B, 'r'.repeat(43)),
    to: buyer,
    kind: 'contest',
    by: buyer,
    why: 'facts-differ',
    notedAt: time,
  };
  const cases: [string, Record<string, string | number>][] = [
    ['that contests', good],
    ['that replaces another', { ...good, supersedes: 'o'.repeat(43) }],
    ['of another kind', { ...good, kind: 'delete' }],
    ['for a reason in words', { ...good, why: 'she lied' }],
    ['of a listing', { ...good, rating: recordKey('listings', B, 'r'.repeat(43)) }],
    ['of somebody without a node', { ...good, to: 'mary' }],
    ['by somebody without a node', { ...good, by: 'mary' }],
    ['by a user of another node', { ...good, by: supplier }],
    ['replacing no local id', { ...good, supersedes: 'a b' }],
  ];
  return cases.map(([name, fact]) => {
    const key = recordKey('rating-notes', A, 'n'.repeat(43));
    return { name, key, fact, problem: readNote(key, fact, time).problem };
  });
}

/** Receipts, what each rating fact comes to by itself, and reputations with everything they come from. */
export function ratingVectors(): unknown {
  const both = settles();
  return {
    network: net,
    receipt: writeReceipt(both.buyer, both.supplier),
    facts: facts(),
    notes: noteFacts(),
    reputations: proofs(),
  };
}
