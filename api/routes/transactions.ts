import { z } from '@hono/zod-openapi';
import { TransactionJson, transactionJson } from '../contract-json.ts';
import type { ContractsPort } from '../ports/contracts.ts';
import { json, route, router } from '../route.ts';
import { pageQuery } from '../schemas.ts';
import { actorOf } from './contracts.ts';

const list = route('write', {
  method: 'get',
  path: '/',
  tags: ['Market'],
  summary: 'Contracts from accepted on, in the old shape: the caller’s own; an operator sees all',
  request: { query: z.object(pageQuery) },
  responses: {
    200: json(
      z.object({ transactions: z.array(TransactionJson), cursor: z.string().optional() }),
      'One page',
    ),
  },
});

export function transactionRoutes({ contracts }: { readonly contracts: Pick<ContractsPort, 'list'> }) {
  return router().openapi(list, async (c) => {
    const { limit, cursor: from } = c.req.valid('query');
    const { items, cursor } = await contracts.list(
      { listingId: undefined, requestId: undefined },
      limit,
      from,
      actorOf(c.get('principal')),
    );
    const transactions = items.map(transactionJson).filter((one) => one !== undefined);
    return c.json(cursor === undefined ? { transactions } : { transactions, cursor }, 200);
  });
}
