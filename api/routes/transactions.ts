import { z } from '@hono/zod-openapi';
import { TransactionJson, transactionJson } from '../contract-json.ts';
import type { ContractsPort, ContractView } from '../ports/contracts.ts';
import type { RatingsPort } from '../ports/trust.ts';
import { json, route, router } from '../route.ts';
import { pageOf, pageQuery } from '../schemas.ts';
import { actorOf } from '../contract-inputs.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';
import { readOne } from '../../protocols/unread.ts';

const list = route(
  'write',
  {
    operationId: 'listTransactions',
    method: 'get',
    path: '/',
    tags: ['Contracts'],
    summary: 'List accepted contracts in the format of the old back end',
    description: 'The caller’s own; operators see all contracts of this node.',
    request: { query: z.object(pageQuery) },
    responses: { 200: json(pageOf('transactions', TransactionJson), 'A page of transactions.') },
  },
  'ignored',
);

export function transactionRoutes({
  contracts,
  ratings,
  leftOut,
}: {
  readonly contracts: Pick<ContractsPort, 'list'>;
  readonly ratings: Pick<RatingsPort, 'current'>;
  readonly leftOut: NoteLeftOut;
}) {
  async function ratingOf({ state, held }: ContractView): Promise<number | null> {
    const { buyer, supplier } = held?.binding ?? {};
    if (buyer === undefined || supplier === undefined) return null;
    return (await ratings.current(state.key, buyer, supplier))?.score ?? null;
  }

  return router().openapi(list, async (c) => {
    const { limit, cursor: from } = c.req.valid('query');
    const { items, unread, cursor } = await contracts.list(
      { listingId: undefined, requestId: undefined },
      limit,
      placeOf(c, from),
      actorOf(c.get('principal')),
    );
    const transactions: z.output<typeof TransactionJson>[] = [];
    const shown = new Shown(leftOut);
    shown.missed(unread);
    for (const view of items) {
      const one = await readOne(
        view.state.key,
        async () => transactionJson(view, await ratingOf(view)),
        (left) => {
          leftOut(left);
          shown.missed([left]);
        },
      );
      if (one !== undefined) transactions.push(one);
    }
    shown.warn(c);
    return c.json({ transactions, ...nextOf(c, cursor) }, 200);
  });
}
