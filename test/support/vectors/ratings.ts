import { readRating, writeReceipt } from '../../../protocols/market/rating.ts';
import { trustProof, trustText, type RatingInput } from '../../../protocols/market/trust.ts';
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
    ['a receipt of another user', { ...good, receipt: with_({ party: `else@${B}` }) }],
    ['a receipt with a flipped signature', { ...good, receipt: flipped(receipt) }],
  ];
  return cases.map(([name, fact]) => {
    const key = recordKey('ratings', A, 'r'.repeat(43));
    const { problem } = readRating(key, fact, net);
    return { name, key, fact, problem };
  });
}

/** The last character of base64url of a signature's last byte, changed within its bits. */
function flipped(receipt: string): string {
  const [one = '', other = ''] = receipt.split('.');
  const bytes = Buffer.from(other, 'base64url');
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  return `${one}.${bytes.toString('base64url')}`;
}

/** A proof with every verdict in it, as canonical JSON: its bytes are the vector. */
function proofs(): unknown[] {
  const id = (owner: string, n: number): string => `ratings/${owner}/${String(n).repeat(43)}`;
  const rating = (n: number, from: string, score: number, over: Partial<RatingInput> = {}): RatingInput => ({
    id: id(from.slice(from.lastIndexOf('@') + 1), n),
    from,
    to: supplier,
    score,
    contract,
    supersedes: null,
    problem: null,
    ...over,
  });
  const other = `contracts/${A}/${'q'.repeat(43)}`;
  const ratings = [
    rating(1, `amina@${A}`, 4),
    rating(2, `amina@${A}`, -1, { contract: other }),
    rating(3, `amina@${A}`, 2, { contract: other, supersedes: id(A, 2) }),
    rating(4, `amina@${A}`, 0),
    rating(5, `joe@${A}`, 1),
    rating(6, `kim@${C}`, -1),
    rating(7, `own@${B}`, 4),
    rating(8, `eve@${nodeOf(4).peerId}`, 4),
    rating(9, `amina@${A}`, 9),
  ];
  const roots = [A, B, C];
  const of = (subject: string, inputs: readonly RatingInput[]): unknown => ({
    subject,
    roots,
    ratings: inputs,
    proof: trustText(trustProof(subject, inputs, roots)),
  });
  return [of(supplier, ratings), of(B, ratings), of(supplier, [])];
}

/** Receipts, what each rating fact comes to by itself, and scores with everything they come from. */
export function ratingVectors(): unknown {
  const both = settles();
  return { network: net, receipt: writeReceipt(both.buyer, both.supplier), facts: facts(), trust: proofs() };
}
