import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { isOperator, type Principal } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { idempotentId } from '../limits/idempotency.ts';
import { contractJson, keyOf } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { Contract, fieldsInput, idParam, pageQuery } from '../schemas.ts';

const PARTIES = ['buyerId', 'supplierId'] as const;
const tags = ['Market'];
const body = jsonInput(fieldsInput('contracts'));

const create = route('write', {
  method: 'post',
  path: '/',
  tags,
  summary: 'Begin a contract; parties on other nodes are named user@peer-id',
  request: { body },
  responses: { 201: json(Contract, 'The new contract') },
});
const list = route('read', {
  method: 'get',
  path: '/',
  tags,
  summary: 'Public contracts, newest first',
  request: { query: z.object(pageQuery) },
  responses: {
    200: json(z.object({ contracts: z.array(Contract), cursor: z.string().optional() }), 'One page'),
  },
});
const read = route('write', {
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'One contract, for its parties and the operator',
  request: { params: idParam },
  responses: { 200: json(Contract, 'The contract') },
});
const change = route('write', {
  method: 'patch',
  path: '/{id}',
  tags,
  summary: 'Change terms, as a party',
  request: { params: idParam, body },
  responses: { 200: json(Contract, 'The contract as it stands now') },
});

export function contractRoutes(node: ApiContext) {
  /** A contract this caller may see: a public one, or as a party or the operator. Throws `not-found`. */
  async function seen(id: string, principal: Principal): Promise<RecordState> {
    const state = await node.reader.get(keyOf(id, node.self, 'contracts'));
    if (!isLive(state) || (state.channel !== 'public' && !isParty(node.self, state, principal)))
      throw new AgrinetError('not-found', 'Not found');
    return state;
  }

  return router()
    .openapi(create, async (c) => {
      const fields = c.req.valid('json');
      const principal = c.get('principal');
      const parties = partiesOf(node, fields);
      const { userId } = principal;
      if (!isOperator(principal) && !PARTIES.some((name) => isUser(node.self, fields[name], userId)))
        throw new AgrinetError('forbidden', `this key makes contracts of ${userId ?? 'nobody'} only`);
      const { state } = await node.catalogue.createContract(fields, parties, idempotentId(c));
      return c.json(contractJson(state), 201);
    })
    .openapi(list, async (c) => {
      const { limit, cursor: from } = c.req.valid('query');
      const { records, cursor } = await node.reader.list('contracts', { fields: {} }, limit, from);
      const contracts = records.filter((state) => state.channel === 'public').map(contractJson);
      return c.json(cursor === undefined ? { contracts } : { contracts, cursor }, 200);
    })
    .openapi(read, async (c) =>
      c.json(contractJson(await seen(c.req.valid('param').id, c.get('principal'))), 200),
    )
    .openapi(change, async (c) => {
      const principal = c.get('principal');
      const state = await seen(c.req.valid('param').id, principal);
      const writable =
        state.channel === 'public'
          ? state.key.split('/')[1] === node.self
          : state.members?.writers.includes(node.self) === true;
      if (!writable || !isParty(node.self, state, principal))
        throw new AgrinetError('unauthorized', 'only a party of the contract can change its terms');
      const fields = c.req.valid('json');
      if (!isOperator(principal)) keepsParties(state, fields);
      return c.json(contractJson((await node.catalogue.patch(state.key, fields)).state), 200);
    });
}

/** Whether a party named as `user` or `user@peer-id` is this user of this node. */
function isUser(self: PeerId, named: unknown, userId: string | undefined): boolean {
  return userId !== undefined && (named === userId || named === `${userId}@${self}`);
}

function isParty(self: PeerId, state: RecordState, principal: Principal): boolean {
  return isOperator(principal) || PARTIES.some((name) => isUser(self, state.view[name], principal.userId));
}

/** No party can put another in the other's place, or leave. Throws `forbidden`. */
function keepsParties({ view }: RecordState, fields: Readonly<Record<string, unknown>>): void {
  const moved = PARTIES.find(
    (name) => fields[name] !== undefined && view[name] !== undefined && fields[name] !== view[name],
  );
  if (moved !== undefined)
    throw new AgrinetError('forbidden', `${moved}: the parties of a contract stay; begin a new contract`);
}

/** The nodes of the parties named as `user@peer-id`; throws `party-unknown` for one that is not registered. */
function partiesOf(node: ApiContext, fields: Readonly<Record<string, unknown>>): PeerId[] {
  return PARTIES.flatMap((name) => {
    const value = fields[name];
    if (typeof value !== 'string' || !value.includes('@')) return [];
    const peer = parsePeerId(value.slice(value.lastIndexOf('@') + 1));
    const known = peer !== undefined && (peer === node.self || node.isActive(peer));
    if (peer === undefined || !known)
      throw new AgrinetError(
        'party-unknown',
        `${name}: that node is not registered here; register it with: agrinet join <its url> --key <its key>`,
      );
    return [peer];
  });
}
