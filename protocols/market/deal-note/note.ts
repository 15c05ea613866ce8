import type { Scalar } from '../../open-dialog/change.ts';
import type { Membership } from '../../open-dialog/record.ts';
import { base64url } from '../../wire/bytes.ts';
import { readEnvelope } from '../../wire/envelope.ts';
import { publicIdOf } from '../../wire/ids.ts';
import { isoTime } from '../../wire/iso-time.ts';
import { agreedTerms } from '../contract-book/agreed.ts';
import { takesStock } from '../contract-book/binding.ts';
import { copiedListing, isCopy } from '../contract-book/listing-terms.ts';
import type { SignedStatement } from '../contract-book/types.ts';
import { clausesOf, isClauseField } from '../contract/clauses.ts';
import { evaluateStatements, type Verdict } from '../contract/machine.ts';
import type { ContractState } from '../contract/model.ts';
import { CONTRACT_ENVELOPE, type Outcome, type TransitionKind } from '../contract/statement.ts';
import type { IssuedAttestation } from './evidence.ts';

/** All inputs of a note; the same inputs give the same note. */
export interface NoteSource {
  readonly creation: Membership;
  /** Every statement that counts, in any order. */
  readonly statements: readonly SignedStatement[];
  readonly word: IssuedAttestation;
  /** The word's envelope, base64url. */
  readonly signedAttestation: string;
}

export type Side = 'buyer' | 'supplier';

/** A step of a contract with its signature, as a note shows it. */
export interface NoteStep {
  readonly step: number;
  readonly at: string;
  readonly kind: TransitionKind;
  readonly by: Side;
  /** `late`: signed, valid, and overtaken by another. */
  readonly standing: 'applied' | 'late';
  readonly hash: string;
  readonly proposal?: string;
  readonly outcome?: Outcome;
  readonly validUntil?: string;
  readonly signature: string;
}

/** A deal as its parties can keep and show it: to be read by people, and to be verified by anybody without a node. */
export interface DealNote {
  readonly format: 'agrinet-deal-note';
  readonly version: 1;
  readonly contractId: string;
  readonly network: string;
  readonly state: ContractState;
  readonly parties: Readonly<Record<Side, string>>;
  readonly terms: Readonly<Record<string, Scalar>>;
  readonly clauses: readonly (Scalar | { readonly name: string; readonly text: Scalar })[];
  readonly listing?: Readonly<Record<string, Scalar | readonly string[]>>;
  /** Under what each party agreed: the step, and its signature. */
  readonly signatures: Readonly<Partial<Record<Side, { readonly step: number; readonly signature: string }>>>;
  readonly steps: readonly NoteStep[];
  readonly issued: { readonly by: string; readonly at: string };
  readonly check: readonly string[];
  readonly evidence: {
    readonly creation: Membership;
    readonly statements: readonly string[];
    readonly word: string;
  };
}

const CHECK: readonly string[] = [
  'Run `agrinet contract verify FILE`: it needs no node, no network and no database, and names whatever was altered or taken out.',
  'By hand, with section 11 of the protocol specification: each of evidence.statements is a signed envelope whose key is the peer ID of its party’s node; its payload holds the step, of a proposal all terms.',
  'The contract’s ID is the hash of evidence.creation, whose nonce commits to both parties and the listing; evidence.word lists the hashes of all steps, signed by the node of a party.',
];

/** Names of the contract itself that are elsewhere in a note. */
const ELSEWHERE: ReadonlySet<string> = new Set(['buyerId', 'supplierId']);

/** Makes the note. Throws nothing for statements that open; they are evaluated as on every node. */
export function composeNote(source: NoteSource): DealNote {
  const { creation, word, signedAttestation } = source;
  const statements = source.statements.toSorted(inOrder);
  const { verdict, agreed } = verdictOf(source);
  const steps = statements.map((one, i) => stepOf(one, i + 1, word, verdict));
  const view = agreedTerms({ agreed, statements, binding: word }) ?? {};
  const listing = copiedListing(view);
  return {
    format: 'agrinet-deal-note',
    version: 1,
    contractId: publicIdOf(word.contract),
    network: word.net,
    state: verdict.state,
    parties: { buyer: word.buyer, supplier: word.supplier },
    terms: termsOf(view),
    clauses: clausesOf(view).map(({ name, text }) => (name === undefined ? text : { name, text })),
    ...(listing === undefined ? {} : { listing }),
    signatures: signaturesOf(steps, verdict.agreement?.propose ?? agreed[0]),
    steps,
    issued: { by: word.by, at: isoTime(word.at) },
    check: CHECK,
    evidence: {
      creation,
      statements: statements.map(({ bytes }) => base64url(bytes)),
      word: signedAttestation,
    },
  };
}

/** How the statements of a note are evaluated. */
export function verdictOf({ statements, word }: NoteSource): ReturnType<typeof evaluateStatements> {
  const { contract: key, net, buyer, supplier } = word;
  const contract = { key, net, parties: [buyer, supplier] as const, supplier, stock: takesStock(word) };
  return evaluateStatements(
    contract,
    statements.map(({ transition }) => transition),
  );
}

/** The file of a note: the one text that it has. */
export function noteText(note: DealNote): string {
  return `${JSON.stringify(note, null, 2)}\n`;
}

/** By what they follow, and by their times. */
function inOrder({ transition: a }: SignedStatement, { transition: b }: SignedStatement): number {
  return (
    a.at - b.at || (a.before.includes(b.hash) ? 1 : b.before.includes(a.hash) ? -1 : a.hash < b.hash ? -1 : 1)
  );
}

function termsOf(view: Readonly<Record<string, Scalar>>): Record<string, Scalar> {
  return Object.fromEntries(
    Object.entries(view)
      .filter(([field]) => !isCopy(field) && !isClauseField(field) && !ELSEWHERE.has(field))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function stepOf(
  { transition: t, bytes }: SignedStatement,
  step: number,
  word: IssuedAttestation,
  verdict: Verdict,
): NoteStep {
  return {
    step,
    at: isoTime(t.at),
    kind: t.kind,
    by: t.party === word.supplier ? 'supplier' : 'buyer',
    standing: verdict.late.includes(t.hash) ? 'late' : 'applied',
    hash: t.hash,
    ...('proposal' in t && t.proposal !== undefined ? { proposal: t.proposal } : {}),
    ...(t.kind === 'resolve' ? { outcome: t.outcome } : {}),
    ...(t.kind === 'propose' && t.validUntil !== undefined ? { validUntil: isoTime(t.validUntil) } : {}),
    signature: base64url(readEnvelope(CONTRACT_ENVELOPE, bytes).signature),
  };
}

/** Who proposed and who accepted the agreed terms. */
function signaturesOf(steps: readonly NoteStep[], proposal: string | undefined): DealNote['signatures'] {
  const agreeing = steps.filter(
    ({ kind, hash, proposal: of }) =>
      (kind === 'propose' && hash === proposal) || (kind === 'accept' && of === proposal),
  );
  return Object.fromEntries(
    (['buyer', 'supplier'] as const).flatMap((side) => {
      const one = agreeing.find(({ by }) => by === side);
      return one === undefined ? [] : [[side, { step: one.step, signature: one.signature }]];
    }),
  );
}
