import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { isOperator, type Principal } from '../access.ts';
import { noteText } from '../../protocols/market/deal-note/note.ts';
import { dealNotePage } from '../deal-note-page.ts';
import { DealNoteJson } from '../deal-note-schema.ts';
import { Contract, contractJson } from '../contract-json.ts';
import type { ErrorCode } from '../../protocols/error-codes.ts';
import { fieldsInput } from '../field-inputs.ts';
import { contractFields } from '../market-schemas.ts';
import { idempotentId } from '../limits/idempotency.ts';
import type { Actor, Body, ContractsPort, StepRequest } from '../ports/contracts.ts';
import { keyOf } from '../records.ts';
import { json, jsonInput, jsonOrMedia, route, router } from '../route.ts';
import { filterQuery, idParam, JsonValue, pageOf, pageQuery } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Contracts'];
const described = contractFields;
const beside = {
  deliveryWindow: z
    .record(z.string(), z.unknown())
    .nullable()
    .optional()
    .openapi({ type: 'object', allOf: [{ $ref: '#/components/schemas/DeliveryWindow' }] }),
  terms: z
    .union([z.array(z.unknown()).max(64), z.record(z.string().max(64), z.unknown())])
    .optional()
    .openapi({
      type: 'array',
      items: { type: 'string', maxLength: 1024 },
      maxItems: 64,
      description: 'Clauses; they replace the existing ones.',
    }),
};
const proposing = z.boolean().optional();
const validUntil = z
  .union([z.number().int().min(0).max(8.64e15), z.iso.datetime({ offset: true })])
  .optional()
  .openapi({
    type: 'string',
    format: 'date-time',
    description: 'When the proposal expires. Required for a supplier’s own proposal.',
  });
const acknowledgeListing = z
  .boolean()
  .optional()
  .openapi({ description: 'Whether to sign although the terms differ from the listing.' });
const createBody = jsonInput(
  fieldsInput(
    'contracts',
    { name: 'ContractCreate', described },
    {
      ...beside,
      propose: proposing.openapi({
        description:
          'Whether to propose the terms to the other party at once; true by default. `false` creates a draft, and so do terms that are not complete or not as listed.',
      }),
      validUntil: validUntil.openapi({
        description: 'When the proposal expires; a supplier’s own is made at once only with it.',
      }),
      acknowledgeListing,
    },
  ),
);
const updateBody = jsonInput(
  fieldsInput(
    'contracts',
    // Clients that send the whole contract again send this one too.
    {
      name: 'ContractUpdate',
      described,
      nullable: true,
      tolerated: { propose: proposing, validUntil, acknowledgeListing },
    },
    beside,
  ),
);
const answer = json(Contract, 'The updated contract.');
const party = z
  .string()
  .max(192)
  .optional()
  .openapi({ description: 'User to act as; by default the user of the key.' });
const hash = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .openapi({ description: 'Hash of the proposal; needed when several are open.' });
const note = z
  .string()
  .max(8192)
  .optional()
  .openapi({ description: 'Accepted for compatibility; not stored.' });
const DRAFTING: readonly ErrorCode[] = [
  'contract-state',
  'listing-ended',
  'listing-without-seller',
  'not-a-party',
  'not-supplier',
  'party-unknown',
  'quantity-granted',
  'record-ended',
  'record-merging',
  'rejoining',
  'stock-short',
  'terms-conflict',
  'terms-full',
];
const STEPPING: readonly ErrorCode[] = [
  ...DRAFTING,
  'accept-own',
  'contract-full',
  'hold-endless',
  'hold-not-over',
  'listing-differs',
  'listing-moved',
  'proposal-expired',
  'proposal-unknown',
  'proposal-unnamed',
  'terms-changed',
  'terms-incomplete',
];

const created = (path: '/' | '/createContract', operationId: string, summary: string) =>
  route(
    'write',
    {
      operationId,
      method: 'post',
      path,
      tags,
      summary,
      description:
        'Parties on other nodes are named `user@peer-id`. With only one party named, the contract is a public open request.',
      request: { body: createBody },
      responses: { 201: json(Contract, 'The new contract.') },
      codes: ['not-found', ...STEPPING],
    },
    'ignored',
  );
const create = created('/', 'createContract', 'Create a contract, and propose its terms to the other party');
const createOld = created(
  '/createContract',
  'createContractLegacy',
  'Create a contract; alias of POST /contracts for clients of the old back end',
);
const list = route(
  'read',
  {
    operationId: 'listContracts',
    method: 'get',
    path: '/',
    tags,
    summary: 'List open requests and the caller’s own contracts',
    description: 'Newest first. Operators see all contracts of this node.',
    request: {
      query: z.object({
        listingId: filterQuery('Contracts about this listing.'),
        requestId: filterQuery('Contracts that answer this open request.'),
        ...pageQuery,
      }),
    },
    responses: { 200: json(pageOf('contracts', Contract), 'A page of contracts.') },
  },
  'ignored',
);
const read = route(
  'read',
  {
    operationId: 'getContract',
    method: 'get',
    path: '/{id}',
    tags,
    summary: 'Retrieve an open request or one of the caller’s own contracts',
    request: { params: idParam },
    responses: { 200: json(Contract, 'The contract.') },
    codes: ['record-merging'],
  },
  'ignored',
);
const dealNote = route('read', {
  operationId: 'getDealNote',
  method: 'get',
  path: '/{id}/note',
  tags,
  summary: 'Retrieve the deal note of a contract: terms, steps and signatures, to print or to verify offline',
  description:
    'For its parties. JSON, exactly as `agrinet contract verify` reads it, or an HTML page that prints on one A4 page. The note can still be read after the listing has been erased.',
  request: {
    params: idParam,
    headers: z.object({
      accept: z
        .string()
        .max(1024)
        .optional()
        .openapi({ description: '`text/html` for the page; JSON otherwise.' }),
    }),
  },
  responses: { 200: jsonOrMedia(DealNoteJson, 'The note.', 'text/html') },
  codes: ['contract-state', 'record-merging'],
});
const change = route('write', {
  operationId: 'updateContract',
  method: 'patch',
  path: '/{id}',
  tags,
  summary: 'Update the terms of a contract that has not been agreed',
  description: 'Only for its parties. Writing a field in conflict resolves the conflict.',
  request: { params: idParam, body: updateBody },
  responses: { 200: answer },
  codes: DRAFTING,
});

/** Steps that the old documents know. */
const OLD_STEPS: ReadonlySet<string> = new Set(['/{id}/accept', '/{id}/pings']);

function step<P extends string, S extends z.ZodRawShape>(
  path: P,
  operationId: string,
  summary: string,
  shape: S,
) {
  return route(
    'write',
    {
      operationId,
      method: 'post',
      path,
      tags,
      summary,
      request: { params: idParam, body: jsonInput(z.object(shape)) },
      responses: { 200: answer },
      codes: STEPPING,
    },
    OLD_STEPS.has(path) ? 'ignored' : 'refused',
  );
}
const propose = step(
  '/{id}/propose',
  'proposeContract',
  'Propose the current terms; a supplier’s proposal reserves the quantity until `validUntil`',
  {
    proposedBy: party,
    validUntil,
    acknowledgeListing,
    message: note,
  },
);
const accept = step('/{id}/accept', 'acceptContract', 'Accept a proposal of the other party as it is', {
  acceptedBy: party,
  proposal: hash.optional(),
  acknowledgeListing,
  message: note,
});
const settle = step(
  '/{id}/settle',
  'settleContract',
  'Confirm completion; the contract settles once both parties have confirmed',
  { settledBy: party, message: note },
);
const cancel = step(
  '/{id}/cancel',
  'cancelContract',
  'Cancel; an agreed contract ends once both parties have cancelled',
  { cancelledBy: party, message: note },
);
const resolve = step(
  '/{id}/resolve',
  'resolveContract',
  'Resolve a dispute; it ends once both parties declare the same outcome',
  {
    outcome: z.enum(['accepted', 'settled', 'cancelled']),
    proposal: hash.optional(),
    resolvedBy: party,
    message: note,
  },
);
const ping = step('/{id}/pings', 'createContractPing', 'Report delivery progress', {
  from: party,
  status: z.string().max(64).optional().openapi({ description: 'Status, such as `loaded`.' }),
  percentComplete: z.number().min(0).max(100).optional().openapi({ description: 'Progress in percent.' }),
  notes: z.string().max(8192).optional().openapi({ description: 'Notes.' }),
  attachments: z.array(JsonValue).max(64).optional(),
});

/** What the routes take. */
export interface ContractsContext {
  readonly self: PeerId;
  readonly contracts: ContractsPort;
  readonly leftOut: NoteLeftOut;
}

export function actorOf(principal: Principal): Actor {
  return { operator: isOperator(principal), userId: principal.userId };
}

/** The end of a proposal, milliseconds since 1970. Throws `fields-invalid`. */
function endOf(given: string | number | undefined): number | undefined {
  const end = typeof given === 'string' ? Date.parse(given) : given;
  if (end !== undefined && !(end >= 0))
    throw new AgrinetError('fields-invalid', 'validUntil: must be an ISO 8601 time');
  return end;
}

function opened<B extends { validUntil?: string | number | undefined }>(body: B): Body {
  return { ...body, validUntil: endOf(body.validUntil) };
}

/** Beside the contracts themselves stands the old name of their beginning. */
export function oldContractRoutes({ contracts }: ContractsContext) {
  return router().openapi(createOld, async (c) => {
    const sight = await contracts.create(
      opened(c.req.valid('json')),
      actorOf(c.get('principal')),
      idempotentId(c),
    );
    return c.json(contractJson(sight), 201);
  });
}

export function contractRoutes({ self, contracts, leftOut }: ContractsContext) {
  const keyIn = (id: string) => keyOf(id, self, 'contracts');
  async function stepped(id: string, principal: Principal, request: StepRequest) {
    return contractJson(await contracts.step(keyIn(id), request, actorOf(principal)));
  }

  return router()
    .openapi(create, async (c) => {
      const sight = await contracts.create(
        opened(c.req.valid('json')),
        actorOf(c.get('principal')),
        idempotentId(c),
      );
      const made = contractJson(sight);
      c.header('location', `/contracts/${made.contractId}`);
      return c.json(made, 201);
    })
    .openapi(list, async (c) => {
      const { limit, cursor: from, listingId, requestId } = c.req.valid('query');
      const actor = actorOf(c.get('principal'));
      const { items, unread, cursor } = await contracts.list(
        { listingId, requestId },
        limit,
        placeOf(c, from),
        actor,
      );
      const shown = new Shown(leftOut);
      shown.missed(unread);
      const list = shown.each(items, ({ state }) => state.key, contractJson);
      shown.warn(c);
      return c.json({ contracts: list, ...nextOf(c, cursor) }, 200);
    })
    .openapi(read, async (c) => {
      const sight = await contracts.get(keyIn(c.req.valid('param').id), actorOf(c.get('principal')));
      return c.json(contractJson(sight), 200);
    })
    .openapi(dealNote, async (c) => {
      const made = await contracts.dealNote(keyIn(c.req.valid('param').id), actorOf(c.get('principal')));
      c.header('vary', 'accept');
      c.header('cache-control', 'no-store');
      if (!/\btext\/html\b/i.test(c.req.valid('header').accept ?? ''))
        return c.body(noteText(made), 200, { 'content-type': 'application/json' });
      c.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
      return c.html(await dealNotePage(made));
    })
    .openapi(change, async (c) => {
      const actor = actorOf(c.get('principal'));
      const sight = await contracts.patch(keyIn(c.req.valid('param').id), c.req.valid('json'), actor);
      return c.json(contractJson(sight), 200);
    })
    .openapi(propose, async (c) => {
      const { proposedBy: as, acknowledgeListing: acknowledged, ...body } = c.req.valid('json');
      const request: StepRequest = {
        kind: 'propose',
        as,
        validUntil: endOf(body.validUntil),
        acknowledgeListing: acknowledged,
      };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(accept, async (c) => {
      const { acceptedBy: as, proposal, acknowledgeListing: acknowledged } = c.req.valid('json');
      const request: StepRequest = { kind: 'accept', as, proposal, acknowledgeListing: acknowledged };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(settle, async (c) => {
      const request: StepRequest = { kind: 'settle', as: c.req.valid('json').settledBy };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(cancel, async (c) => {
      const request: StepRequest = { kind: 'cancel', as: c.req.valid('json').cancelledBy };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(resolve, async (c) => {
      const { outcome, proposal, resolvedBy: as } = c.req.valid('json');
      const request: StepRequest = { kind: 'resolve', as, outcome, proposal };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(ping, async (c) => {
      const { from: as, ...news } = c.req.valid('json');
      const key = keyIn(c.req.valid('param').id);
      const sight = await contracts.ping(key, { ...news, as }, actorOf(c.get('principal')), idempotentId(c));
      return c.json(contractJson(sight), 200);
    });
}
