import { z } from '@hono/zod-openapi';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { pingTime } from '../protocols/market/contract-book/last-step.ts';
import type { Transition } from '../protocols/market/contract/statement.ts';
import { missingTerms } from '../protocols/market/contract/terms.ts';
import { measuresThatDiffer } from '../protocols/market/contract-book/listing-terms.ts';
import { publicIdOf } from '../protocols/wire/ids.ts';
import type { ContractView } from './ports/contracts.ts';
import { contractRecordJson, recordJson } from './records.ts';
import { contractFields } from './market-schemas.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import { jsonOf } from './json-text.ts';
import { JsonValue, number, ScalarOrNull, text, texts, timestamp } from './schemas.ts';

const STATES = ['open', 'draft', 'proposed', 'accepted', 'settled', 'cancelled', 'disputed'] as const;
const ContractState = z.enum(STATES).openapi('ContractState');
const hash = (what: string) => text(`SHA-256 of ${what}, hex.`);

/** Terms as they are signed. */
const AgreedTerms = z.record(z.string(), ScalarOrNull).openapi('ContractTerms', {
  description:
    'Terms by the name of the contract field, as signed: `deliveryWindow.start`, and `terms.<nnn>` for each clause.',
});
const ContractTransition = z
  .object({
    hash: hash('the signed statement; it identifies the transition'),
    kind: z.enum(['propose', 'accept', 'expire', 'settle', 'cancel', 'resolve']),
    party: text('Party that signed it, `user@peer-id`.'),
    at: timestamp('When it was signed.'),
    before: texts('Hashes of the transitions that it follows.'),
    standing: z.enum(['applied', 'late', 'rejected', 'pending']).openapi({
      description:
        '`late`: valid, but superseded by a concurrent transition. `rejected`: see `code`. `pending`: until missing dependencies arrive.',
    }),
    code: text('Why it was rejected.').optional(),
    proposal: hash('the proposal that it accepts, expires or resolves to').optional(),
    outcome: z.enum(['accepted', 'settled', 'cancelled']).optional(),
    terms: AgreedTerms.optional(),
    heads: texts('Hashes of the document changes that a proposal covers.').optional(),
    validUntil: timestamp('When a proposal expires.').optional(),
  })
  .openapi('ContractTransition');
const ContractPing = z
  .object({
    id: text('`<owner>.<local id>`.'),
    from: text('Party that reported it, `user@peer-id`.'),
    at: timestamp('When it was reported.'),
    status: text('Status, in the party’s words.').optional(),
    percentComplete: number('Progress, 0 to 100.').optional(),
    notes: text('Notes.').optional(),
    attachments: z.array(JsonValue).optional(),
  })
  .openapi('ContractPing');

/** A contract with its state; for an open request only its document. */
export const Contract = z
  .object({
    ...contractFields,
    state: ContractState,
    status: text('Same as `state`, but `open` until the contract is accepted.'),
    parties: texts('The two parties, `user@peer-id`. Absent for an open request.').optional(),
    agreement: z
      .object({
        propose: hash('the accepted proposal'),
        accept: hash('its acceptance'),
        terms: AgreedTerms,
      })
      .optional()
      .openapi({ description: 'The agreement in force.' }),
    missing: texts('Terms without which it cannot be proposed; until it is accepted.').optional(),
    differences: z
      .array(z.object({ field: text('Name of the field.'), contract: ScalarOrNull, listing: ScalarOrNull }))
      .optional()
      .openapi({
        description:
          'Unit or currency, if it differs between the contract and its listing; until the contract is accepted.',
      }),
    laterEdits: z.record(z.string(), ScalarOrNull).optional().openapi({
      description:
        'Fields of the document edited after the agreement, which are not binding; null for removed fields.',
    }),
    settledBy: texts('Parties that have confirmed completion.').optional(),
    cancelledBy: texts('Parties that have cancelled.').optional(),
    transitions: z.array(ContractTransition).optional(),
    pings: z.array(ContractPing).optional(),
    progressUpdates: z
      .array(
        z.object({
          progress: number('Progress, 0 to 100.'),
          updateTime: timestamp('When it was reported.'),
        }),
      )
      .openapi({ description: '`pings` in the format of the old back end.' }),
  })
  .openapi('Contract');

const { title, commodity, quantity, unit, price, currency, location } = contractFields;
const agreedGoods = { title, commodity, quantity, unit, price, currency, location };

/** A contract from `accepted` on, as old clients know it. */
export const TransactionJson = z
  .object({
    id: text('ID of the contract.'),
    contractId: text('Same as `id`.'),
    consumerId: text('Buyer, `user@peer-id`.'),
    producerId: text('Supplier, `user@peer-id`.'),
    ...agreedGoods,
    rating: z.number().int().min(-1).max(4).nullable().describe('The buyer’s LBTAS rating of the supplier.'),
    status: z.enum(['accepted', 'settled', 'cancelled', 'disputed']),
    createdAt: timestamp('When the contract was created.'),
    updatedAt: timestamp('When the contract last changed.'),
  })
  .openapi('Transaction');

function pingJson({ key, view, ...state }: RecordState): z.output<typeof ContractPing> {
  const { status, percentComplete, notes, attachments } = view;
  return {
    id: publicIdOf(key),
    from: String(view['from'] ?? ''),
    at: isoTime(pingTime({ key, view, ...state })),
    ...(typeof status === 'string' ? { status } : {}),
    ...(typeof percentComplete === 'number' ? { percentComplete } : {}),
    ...(typeof notes === 'string' ? { notes } : {}),
    ...(typeof attachments === 'string' ? { attachments: [jsonOf(attachments)].flat() } : {}),
  };
}

function transitionJson(
  t: Transition,
  { verdict }: NonNullable<ContractView['held']>,
): z.output<typeof ContractTransition> {
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

const isOpen = (state: z.output<typeof ContractState>): state is 'draft' | 'proposed' =>
  state === 'draft' || state === 'proposed';

/** What prevents a proposal, as far as the document alone shows. */
function faultsOf(view: RecordState['view']): Pick<z.output<typeof Contract>, 'missing' | 'differences'> {
  const [missing, differences] = [missingTerms(view), measuresThatDiffer(view)];
  return {
    ...(missing.length === 0 ? {} : { missing }),
    ...(differences.length === 0 ? {} : { differences }),
  };
}

/** The same on every node that holds the same of it. */
export function contractJson(view: ContractView): z.output<typeof Contract> {
  const { state, laterEdits, held, pings } = view;
  const news = pings
    .map(pingJson)
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.id < b.id ? -1 : 1));
  const base = {
    ...contractRecordJson(state),
    updatedAt: movedAt(view),
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
    status: isOpen(verdict.state) ? 'open' : verdict.state,
    ...(isOpen(verdict.state) ? faultsOf(state.view) : {}),
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

/** Agreed terms for which the old shape has no field of its own. */
function goodsOf(view: RecordState['view']): Partial<z.output<z.ZodObject<typeof agreedGoods>>> {
  const fields = Object.keys(agreedGoods).filter((field) => view[field] !== undefined);
  return Object.fromEntries(fields.map((field) => [field, view[field]])); // each valid for its field
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
  if (!agreed || isOpen(verdict.state)) return undefined;
  const { id, createdAt } = recordJson(state);
  return {
    id,
    contractId: id,
    consumerId: binding.buyer,
    producerId: binding.supplier,
    ...goodsOf(state.view),
    rating,
    status: verdict.state,
    createdAt,
    updatedAt: movedAt(view),
  };
}
