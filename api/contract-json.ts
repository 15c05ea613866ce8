import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import type { Scalar } from '../protocols/open-dialog/change.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { clausesOf } from '../protocols/market/contract/clauses.ts';
import { toldAt } from '../protocols/market/contract-book/last-step.ts';
import type { Transition } from '../protocols/market/contract/statement.ts';
import { publicIdOf } from '../protocols/wire/ids.ts';
import type { ContractView } from './ports/contracts.ts';
import { recordJson } from './records.ts';
import { Contract } from './schemas.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import { jsonOf } from './json-text.ts';

const value = z.unknown() as z.ZodType<JSONValue>; // it has been JSON all along
const STATES = ['open', 'draft', 'proposed', 'accepted', 'settled', 'cancelled', 'disputed'] as const;

const TransitionJson = z.object({
  hash: z.string(),
  kind: z.string(),
  party: z.string(),
  at: z.string(),
  before: z.array(z.string()),
  /** `late`: signed and valid, but overtaken. */
  standing: z.enum(['applied', 'late', 'rejected', 'pending']),
  code: z.string().optional(),
  proposal: z.string().optional(),
  outcome: z.string().optional(),
  terms: z.record(z.string(), value).optional(),
  heads: z.array(z.string()).optional(),
  validUntil: z.string().optional(),
});
const PingJson = z.object({
  id: z.string(),
  from: z.string(),
  at: z.string(),
  status: value.optional(),
  percentComplete: value.optional(),
  notes: value.optional(),
  attachments: value.optional(),
});

/** A contract with where it stands; of an open request only its document. */
export const ContractViewJson = Contract.extend({
  state: z.enum(STATES),
  status: z.string(),
  terms: z.array(value),
  parties: z.array(z.string()).optional(),
  agreement: z
    .object({ propose: z.string(), accept: z.string(), terms: z.record(z.string(), value) })
    .optional(),
  /** What the document says otherwise than what was agreed: no terms; null for what it no longer says. */
  laterEdits: z.record(z.string(), value).optional(),
  settledBy: z.array(z.string()).optional(),
  cancelledBy: z.array(z.string()).optional(),
  transitions: z.array(TransitionJson).optional(),
  pings: z.array(PingJson).optional(),
  progressUpdates: z.array(z.object({ progress: value, updateTime: z.string() })),
}).openapi('ContractView');

/** A contract from `accepted` on, as old clients know it. */
export const TransactionJson = z
  .object({
    id: z.string(),
    contractId: z.string(),
    consumerId: z.string(),
    producerId: z.string(),
    rating: z.number().nullable(),
    status: z.string(),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .openapi('Transaction');

function jsonText(text: Scalar): JSONValue {
  return typeof text === 'string' && /^[[{]/.test(text) ? jsonOf(text) : text;
}

function pingJson(state: RecordState): z.output<typeof PingJson> {
  const { key, view } = state;
  return {
    id: publicIdOf(key),
    from: String(view['from'] ?? ''),
    at: isoTime(toldAt(state)),
    ...Object.fromEntries(
      ['status', 'percentComplete', 'notes', 'attachments'].flatMap((field) => {
        const said = view[field];
        return said === undefined ? [] : [[field, jsonText(said)]];
      }),
    ),
  };
}

function transitionJson(
  t: Transition,
  { verdict }: NonNullable<ContractView['held']>,
): z.output<typeof TransitionJson> {
  const rejected = verdict.rejected.find(([hash]) => hash === t.hash)?.[1];
  const standing = verdict.late.includes(t.hash)
    ? 'late'
    : rejected !== undefined
      ? 'rejected'
      : verdict.applied.includes(t.hash)
        ? 'applied'
        : 'pending';
  return {
    hash: t.hash,
    kind: t.kind,
    party: t.party,
    at: isoTime(t.at),
    before: [...t.before],
    standing,
    ...(rejected === undefined ? {} : { code: rejected }),
    ...('proposal' in t && t.proposal !== undefined ? { proposal: t.proposal } : {}),
    ...(t.kind === 'resolve' ? { outcome: t.outcome } : {}),
    ...(t.kind === 'propose' ? { terms: t.terms, heads: [...t.heads] } : {}),
    ...(t.kind === 'propose' && t.validUntil !== undefined ? { validUntil: isoTime(t.validUntil) } : {}),
  };
}

/** When a contract last moved. */
function movedAt({ state, movedAt = state.updated[0] }: ContractView): string {
  return isoTime(movedAt);
}

/** The same on every node that holds the same of it. */
export function contractJson(view: ContractView): z.output<typeof ContractViewJson> {
  const { state, laterEdits, held, pings } = view;
  const json = { ...recordJson(state), updatedAt: movedAt(view) };
  const news = pings
    .map(pingJson)
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.id < b.id ? -1 : 1));
  const start = state.view['deliveryWindow.start'];
  const end = state.view['deliveryWindow.end'];
  const terms = clausesOf(state.view).map(({ text }) => jsonText(text));
  const base = {
    ...json,
    contractId: json.id,
    ...(start === undefined && end === undefined
      ? {}
      : {
          deliveryWindow: {
            ...(start === undefined ? {} : { start }),
            ...(end === undefined ? {} : { end }),
          },
        }),
    terms,
    progressUpdates: news.flatMap(({ percentComplete, at }) =>
      percentComplete === undefined ? [] : [{ progress: percentComplete, updateTime: at }],
    ),
  };
  if (held === undefined)
    return {
      ...base,
      state: state.channel === 'public' ? 'open' : 'draft',
      status: String(state.view['status'] ?? 'open'),
    };
  const { verdict, statements, contract } = held;
  const agreed = statements.find(
    ({ transition }) => transition.hash === verdict.agreement?.propose,
  )?.transition;
  const transitions = statements
    .map(({ transition }) => transitionJson(transition, held))
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.hash < b.hash ? -1 : 1));
  return {
    ...base,
    state: verdict.state,
    // Old clients know a contract that nobody has accepted as open.
    status: verdict.state === 'draft' || verdict.state === 'proposed' ? 'open' : verdict.state,
    parties: [...contract.parties],
    ...(verdict.agreement !== undefined && agreed?.kind === 'propose'
      ? { agreement: { ...verdict.agreement, terms: agreed.terms } }
      : {}),
    ...(laterEdits === undefined ? {} : { laterEdits: { ...laterEdits } }),
    settledBy: [...verdict.settledBy],
    cancelledBy: [...verdict.cancelledBy],
    transitions,
    pings: news,
  };
}

/** In the old shape, with the consumer's rating of the producer; undefined before both have agreed. */
export function transactionJson(
  view: ContractView,
  rating: number | null,
): z.output<typeof TransactionJson> | undefined {
  const { state, held } = view;
  if (held === undefined) return undefined;
  const { verdict, binding, statements } = held;
  const applied = new Set(verdict.applied);
  const agreed = statements.some(({ transition: t }) => t.kind === 'accept' && applied.has(t.hash));
  if (!agreed || verdict.state === 'draft' || verdict.state === 'proposed') return undefined;
  const { id, createdAt } = recordJson(state);
  return {
    id,
    contractId: id,
    consumerId: binding.buyer,
    producerId: binding.supplier,
    rating,
    status: verdict.state,
    createdAt,
    updatedAt: movedAt(view),
  };
}
