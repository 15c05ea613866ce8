import { z } from '@hono/zod-openapi';
import { TransactionJson, transactionJson } from '../contract-json.ts';
import type { ContractsPort } from '../ports/contracts.ts';
import type { RatingsPort } from '../ports/trust.ts';
import { json, route, router } from '../route.ts';
import { pageQuery } from '../schemas.ts';
import { actorOf } from './contracts.ts';
import { nextOf, placeOf } from '../paging.ts';

const list = route(
  'write',
  {
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
  },
  'ignored',
);

export function transactionRoutes({
  contracts,
  ratings,
}: {
  readonly contracts: Pick<ContractsPort, 'list'>;
  readonly ratings: Pick<RatingsPort, 'standing'>;
}) {
  return router().openapi(list, async (c) => {
    const { limit, cursor: from } = c.req.valid('query');
    const { items, cursor } = await contracts.list(
      { listingId: undefined, requestId: undefined },
      limit,
      placeOf(c, from),
      actorOf(c.get('principal')),
    );
    const transactions: z.output<typeof TransactionJson>[] = [];
    for (const sight of items) {
      const { buyer, supplier } = sight.held?.binding ?? {};
      const rated =
        buyer === undefined || supplier === undefined
          ? undefined
          : await ratings.standing(sight.state.key, buyer, supplier);
      const one = transactionJson(sight, rated?.score ?? null);
      if (one !== undefined) transactions.push(one);
    }
    return c.json({ transactions, ...nextOf(c, cursor) }, 200);
  });
}
