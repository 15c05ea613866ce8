import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { isOperator, type Principal } from '../access.ts';
import { contractJson, ContractViewJson } from '../contract-json.ts';
import { idempotentId } from '../limits/idempotency.ts';
import type { Actor, ContractsPort, StepRequest } from '../ports/contracts.ts';
import { keyOf } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { fieldsInput, idParam, pageQuery, textQuery } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Market'];
const body = jsonInput(
  fieldsInput('contracts').extend({
    deliveryWindow: z.looseObject({}).nullable().optional(),
    terms: z.union([z.array(z.unknown()).max(64), z.record(z.string().max(64), z.unknown())]).optional(),
    /** False: begins as a draft; otherwise the terms are proposed to the other party at once. */
    propose: z.boolean().optional(),
  }),
);
const answer = json(ContractViewJson, 'The contract as it stands now');
const party = z.string().max(192).optional();
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const note = z.string().max(8192).optional();

const created = (path: '/' | '/createContract', operationId: string, summary: string) =>
  route(
    'write',
    {
      operationId,
      method: 'post',
      path,
      tags,
      summary,
      request: { body },
      responses: {
        201: json(ContractViewJson, 'The new contract, or an open request when only one party is named'),
      },
    },
    'ignored',
  );
const create = created(
  '/',
  'createContract',
  'Begin a contract; parties on other nodes are named user@peer-id',
);
const createOld = created('/createContract', 'createContractLegacy', 'The old name of POST /contracts');
const list = route(
  'read',
  {
    operationId: 'listContracts',
    method: 'get',
    path: '/',
    tags,
    summary: 'Open requests, and the caller’s own contracts; an operator sees all, newest first',
    request: { query: z.object({ listingId: textQuery, requestId: textQuery, ...pageQuery }) },
    responses: {
      200: json(
        z.object({ contracts: z.array(ContractViewJson), cursor: z.string().optional() }),
        'One page',
      ),
    },
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
    summary: 'One contract: an open request, or one’s own; the operator reads all',
    request: { params: idParam },
    responses: { 200: answer },
  },
  'ignored',
);
const change = route('write', {
  operationId: 'updateContract',
  method: 'patch',
  path: '/{id}',
  tags,
  summary: 'Change terms, as a party, while no agreement stands; settles a field in conflict',
  request: { params: idParam, body },
  responses: { 200: answer },
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
    },
    OLD_STEPS.has(path) ? 'ignored' : 'refused',
  );
}
const propose = step(
  '/{id}/propose',
  'proposeContract',
  'Propose the terms as they stand; a supplier’s proposal on its listing holds the quantity until validUntil',
  {
    proposedBy: party,
    validUntil: z.union([z.number().int().min(0).max(8.64e15), z.iso.datetime({ offset: true })]).optional(),
    message: note,
  },
);
const accept = step('/{id}/accept', 'acceptContract', 'Accept a proposal of the other party, unchanged', {
  acceptedBy: party,
  proposal: hash.optional(),
  message: note,
});
const settle = step('/{id}/settle', 'settleContract', 'Say that it is done; settled when both have', {
  settledBy: party,
  message: note,
});
const cancel = step(
  '/{id}/cancel',
  'cancelContract',
  'Withdraw; after an agreement it ends when both have cancelled',
  {
    cancelledBy: party,
    message: note,
  },
);
const resolve = step('/{id}/resolve', 'resolveContract', 'End a dispute; it ends when both say the same', {
  outcome: z.enum(['accepted', 'settled', 'cancelled']),
  proposal: hash.optional(),
  resolvedBy: party,
  message: note,
});
const ping = step('/{id}/pings', 'createContractPing', 'Tell how far it is', {
  from: party,
  status: z.string().max(64).optional(),
  percentComplete: z.number().min(0).max(100).optional(),
  notes: z.string().max(8192).optional(),
  attachments: z.array(z.unknown()).max(64).optional(),
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

/** Beside the contracts themselves stands the old name of their beginning. */
export function oldContractRoutes({ contracts }: ContractsContext) {
  return router().openapi(createOld, async (c) => {
    const sight = await contracts.create(c.req.valid('json'), actorOf(c.get('principal')), idempotentId(c));
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
      const sight = await contracts.create(c.req.valid('json'), actorOf(c.get('principal')), idempotentId(c));
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
    .openapi(change, async (c) => {
      const actor = actorOf(c.get('principal'));
      const sight = await contracts.patch(keyIn(c.req.valid('param').id), c.req.valid('json'), actor);
      return c.json(contractJson(sight), 200);
    })
    .openapi(propose, async (c) => {
      const { proposedBy: as, validUntil: until } = c.req.valid('json');
      const validUntil = typeof until === 'string' ? Date.parse(until) : until;
      if (validUntil !== undefined && !(validUntil >= 0))
        throw new AgrinetError('fields-invalid', 'validUntil: not a time');
      const request: StepRequest = { kind: 'propose', as, validUntil };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(accept, async (c) => {
      const { acceptedBy: as, proposal } = c.req.valid('json');
      const request: StepRequest = { kind: 'accept', as, proposal };
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
