import { AgrinetError } from '../../errors.ts';
import { base64url, fromBase64url, fromHex, hex, sha256Hex } from '../../wire/bytes.ts';
import { bytesOf, type Cbor, decodeCbor, encodeCbor, integer, mapOf } from '../../wire/cbor.ts';
import { type EnvelopeType, verifyEnvelope, signEnvelope } from '../../wire/envelope.ts';
import type { Identity } from '../../wire/identity.ts';
import { nodeOf } from '../party.ts';
import { isTradeRole, type TradeRole } from '../roles.ts';
import { parseTerms, type Terms } from './terms.ts';

/** A transition's own domain string: no other signature of a node can be passed off as one. */
export const CONTRACT_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-contract',
  payloadType: new TextEncoder().encode('/agrinet/contract/1'),
};

/** Statements per contract, hashes in one `before`, bytes of one envelope, envelopes carried by one fact. */
export const CONTRACT_LIMITS = { statements: 256, before: 16, envelope: 8192, carried: 64 } as const;

export type Outcome = 'accepted' | 'settled' | 'cancelled';
export type TransitionBody =
  | {
      readonly kind: 'propose';
      readonly terms: Terms;
      readonly heads: readonly string[];
      readonly validUntil?: number;
    }
  | { readonly kind: 'accept'; readonly proposal: string }
  | { readonly kind: 'expire'; readonly proposal: string }
  /** `role` is the signer's own, so that a receipt shows which side of the trade is rated. */
  | { readonly kind: 'settle'; readonly role: TradeRole }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'resolve'; readonly outcome: Outcome; readonly proposal?: string };
export type TransitionKind = TransitionBody['kind'];

/** What a party's node signs. Hashes are 64 hex digits here and 32 bytes on the wire; `at` is milliseconds since 1970. */
export type Statement = TransitionBody & {
  readonly net: string;
  readonly contract: string;
  readonly party: string;
  readonly before: readonly string[];
  readonly at: number;
};
/** A verified statement under its name, the SHA-256 of its payload. */
export type Transition = Statement & { readonly hash: string };

const HEAD = ['v', 'net', 'contract', 'party', 'kind', 'before', 'at'];
const OWN: Readonly<Record<TransitionKind, { needs: readonly string[]; may: readonly string[] }>> = {
  propose: { needs: ['terms', 'heads'], may: ['validUntil'] },
  accept: { needs: ['proposal'], may: [] },
  expire: { needs: ['proposal'], may: [] },
  settle: { needs: ['role'], may: [] },
  cancel: { needs: [], may: [] },
  resolve: { needs: ['outcome'], may: ['proposal'] },
};
const OUTCOMES: readonly Outcome[] = ['accepted', 'settled', 'cancelled'];

const invalid = (why: string, cause?: unknown): AgrinetError =>
  new AgrinetError('transition-invalid', `transition: ${why}`, { cause });

function bodyOf(statement: Statement): Record<string, Cbor> {
  switch (statement.kind) {
    case 'propose':
      return {
        terms: statement.terms,
        heads: [...statement.heads].sort().map(fromHex),
        ...(statement.validUntil === undefined ? {} : { validUntil: statement.validUntil }),
      };
    case 'accept':
    case 'expire':
      return { proposal: fromHex(statement.proposal) };
    case 'resolve':
      return {
        outcome: statement.outcome,
        ...(statement.proposal === undefined ? {} : { proposal: fromHex(statement.proposal) }),
      };
    case 'settle':
      return { role: statement.role };
    case 'cancel':
      return {};
  }
}

/** Signs a statement; what it makes opens again. Throws `transition-invalid` for what would not. */
export function signTransition(identity: Identity, statement: Statement): Uint8Array {
  const { net, contract, party, kind, at } = statement;
  const before = [...statement.before].sort().map(fromHex);
  const payload = encodeCbor({ v: 1, net, contract, party, kind, before, at, ...bodyOf(statement) });
  const bytes = signEnvelope(identity, CONTRACT_ENVELOPE, payload);
  verifyTransition(bytes);
  return bytes;
}

function hashes(value: unknown, what: string): string[] {
  if (!Array.isArray(value) || value.length > CONTRACT_LIMITS.before)
    throw invalid(`${what}: up to ${CONTRACT_LIMITS.before} hashes`);
  const out = value.map((one) => hash(one, what));
  if (out.some((one, i) => i > 0 && one <= (out[i - 1] ?? '')))
    throw invalid(`${what}: not sorted, or one twice`);
  return out;
}

function hash(value: unknown, what: string): string {
  const bytes = bytesOf(value, 32);
  if (bytes === undefined) throw invalid(`${what}: not a hash of 32 bytes`);
  return hex(bytes);
}

function parseBody(kind: TransitionKind, map: Record<string, unknown>): TransitionBody {
  switch (kind) {
    case 'propose': {
      const validUntil = integer(map['validUntil'], 0);
      if (Object.hasOwn(map, 'validUntil') && validUntil === undefined) throw invalid('validUntil');
      const base = { kind, terms: parseTerms(map['terms']), heads: hashes(map['heads'], 'heads') };
      return validUntil === undefined ? base : { ...base, validUntil };
    }
    case 'accept':
    case 'expire':
      return { kind, proposal: hash(map['proposal'], 'proposal') };
    case 'resolve': {
      const outcome = OUTCOMES.find((one) => one === map['outcome']);
      if (outcome === undefined) throw invalid('outcome');
      return Object.hasOwn(map, 'proposal')
        ? { kind, outcome, proposal: hash(map['proposal'], 'proposal') }
        : { kind, outcome };
    }
    case 'settle': {
      const { role } = map;
      if (!isTradeRole(role)) throw invalid('role');
      return { kind, role };
    }
    case 'cancel':
      return { kind };
  }
}

/** Reads and verifies one envelope: one encoding, signed by the node of the party it names. Throws `transition-invalid`. */
export function verifyTransition(bytes: Uint8Array): Transition {
  if (bytes.length > CONTRACT_LIMITS.envelope) throw invalid('too long');
  let author: string;
  let payload: Uint8Array;
  let value: unknown;
  try {
    ({ author, payload } = verifyEnvelope(CONTRACT_ENVELOPE, bytes));
    value = decodeCbor(payload);
  } catch (error) {
    throw invalid('the signature is invalid or malformed', error);
  }
  if (typeof value !== 'object' || value === null) throw invalid('not a map');
  const kind = Object.keys(OWN).find((one): one is TransitionKind => 'kind' in value && value.kind === one);
  if (kind === undefined) throw invalid('unknown kind');
  const keys = [...HEAD, ...OWN[kind].needs, ...OWN[kind].may.filter((key) => Object.hasOwn(value, key))];
  const map = mapOf(value, keys);
  const at = integer(map?.['at'], 0);
  if (map === undefined || map['v'] !== 1 || at === undefined) throw invalid('wrong fields');
  const { net, contract, party } = map;
  for (const text of [net, contract])
    if (typeof text !== 'string' || text.length > 512) throw invalid('a text');
  if (nodeOf(party) !== author) throw invalid('not signed by the node of its party');
  return {
    ...parseBody(kind, map),
    net: String(net),
    contract: String(contract),
    party: String(party),
    before: hashes(map['before'], 'before'),
    at,
    hash: sha256Hex(payload),
  };
}

/** Several envelopes as the field `carried` (and a rating's `receipt`) holds them. */
export function joinCarried(envelopes: readonly Uint8Array[]): string {
  if (envelopes.length > CONTRACT_LIMITS.carried)
    throw invalid(`more than ${CONTRACT_LIMITS.carried} carried`);
  return envelopes.map(base64url).join('.');
}

/** The envelopes of such a field, unopened. Throws `transition-invalid` for too many or another spelling of base64url. */
export function splitCarried(text: string): Uint8Array[] {
  if (text === '') return [];
  if (text.length > CONTRACT_LIMITS.carried * CONTRACT_LIMITS.envelope * 2)
    throw invalid('carried is too long');
  const parts = text.split('.');
  if (parts.length > CONTRACT_LIMITS.carried) throw invalid(`more than ${CONTRACT_LIMITS.carried} carried`);
  return parts.map((part) => {
    const bytes = fromBase64url(part);
    if (bytes === undefined || bytes.length === 0) throw invalid('carried: not base64url');
    return bytes;
  });
}
