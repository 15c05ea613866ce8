import { z } from '@hono/zod-openapi';
import {
  acknowledgeListing,
  actorOf,
  type ContractsContext,
  DRAFTING,
  endOf,
  STEPPING,
  validUntil,
} from '../contract-inputs.ts';
import { Contract, contractJson } from '../contract-json.ts';
import { fieldsInput } from '../field-inputs.ts';
import { contractFields } from '../market-schemas.ts';
import { idempotentId } from '../limits/idempotency.ts';
import type { Body } from '../ports/contracts.ts';
import { keyOf } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { filterQuery, idParam, pageOf, pageQuery } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';

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
        description:
          'When the proposal expires; a supplier’s own proposal is made at once only if it is set.',
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
const change = route('write', {
  operationId: 'updateContract',
  method: 'patch',
  path: '/{id}',
  tags,
  summary: 'Update the terms of a contract that has not been agreed',
  description: 'Only for its parties. Writing a field in conflict resolves the conflict.',
  request: { params: idParam, body: updateBody },
  responses: { 200: json(Contract, 'The updated contract.') },
  codes: DRAFTING,
});

function opened<B extends { validUntil?: string | number | undefined }>(body: B): Body {
  return { ...body, validUntil: endOf(body.validUntil) };
}

/** The old name for creating a contract is an additional route. */
export function oldContractRoutes({ contracts }: ContractsContext) {
  return router().openapi(createOld, async (c) => {
    const view = await contracts.create(
      opened(c.req.valid('json')),
      actorOf(c.get('principal')),
      idempotentId(c),
    );
    return c.json(contractJson(view), 201);
  });
}

export function contractRoutes({ self, contracts, leftOut }: ContractsContext) {
  const keyIn = (id: string) => keyOf(id, self, 'contracts');

  return router()
    .openapi(create, async (c) => {
      const view = await contracts.create(
        opened(c.req.valid('json')),
        actorOf(c.get('principal')),
        idempotentId(c),
      );
      const made = contractJson(view);
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
      const view = await contracts.get(keyIn(c.req.valid('param').id), actorOf(c.get('principal')));
      return c.json(contractJson(view), 200);
    })
    .openapi(change, async (c) => {
      const actor = actorOf(c.get('principal'));
      const view = await contracts.patch(keyIn(c.req.valid('param').id), c.req.valid('json'), actor);
      return c.json(contractJson(view), 200);
    });
}
