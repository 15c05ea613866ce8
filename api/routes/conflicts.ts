import { z } from '@hono/zod-openapi';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { parseRecordKey, publicId, type RecordKey } from '../../protocols/wire/ids.ts';
import type { ApiContext } from '../context.ts';
import type { ContractsPort } from '../ports/contracts.ts';
import { recordJson } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { Scalar, ScalarOrNull, text, timestamp, wholeNumber } from '../schemas.ts';
import { Shown } from '../left-out.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';

const scalar = z.union([z.string().max(16_384), z.number(), z.boolean()]).openapi('FieldValue');
const tags = ['Records'];
const Conflict = z
  .object({
    id: text('ID of the conflict.'),
    collection: text('Collection of the record.'),
    record: text('ID of the record.'),
    field: text('Field in conflict.'),
    winner: ScalarOrNull.optional(),
    losing: z.array(ScalarOrNull).openapi({ description: 'Values that lost.' }),
  })
  .openapi('Conflict');

const Settled = z
  .object({
    record: text('ID of the record.'),
    field: text('Field that was written.'),
    value: Scalar,
    updatedAt: timestamp('When the record was last changed.'),
  })
  .openapi('ResolvedConflict');

const list = route('operator', {
  operationId: 'listConflicts',
  method: 'get',
  path: '/',
  tags,
  summary: 'List fields with concurrent writes',
  request: {
    query: z.object({
      limit: wholeNumber(1, 1000).default(100).openapi({ description: 'Maximum number of records.' }),
    }),
  },
  responses: {
    200: json(z.object({ conflicts: z.array(Conflict) }).openapi('ConflictList'), 'Unresolved conflicts.'),
  },
});
const resolve = route('operator', {
  operationId: 'resolveConflict',
  method: 'post',
  path: '/{id}/resolve',
  tags,
  summary: 'Resolve a conflict by writing the value to keep',
  request: {
    params: z.object({ id: z.string().min(1).max(256).openapi({ description: '`id` of the conflict.' }) }),
    body: jsonInput(
      z.object({ field: z.string().max(256).openapi({ description: 'Field in conflict.' }), value: scalar }),
    ),
  },
  responses: { 200: json(Settled, 'The value written.') },
  codes: ['contract-state', 'quantity-granted', 'record-ended', 'record-merging'],
});

export function conflictRoutes(
  node: Pick<ApiContext, 'self' | 'reader' | 'catalogue' | 'leftOut'> & {
    readonly contracts: Pick<ContractsPort, 'get'>;
  },
) {
  /** A contract as everybody is shown it: once it is agreed, drafts that contradict one another are none of its terms. */
  async function asShown(state: RecordState): Promise<RecordState | undefined> {
    if (!state.key.startsWith('contracts/') || state.channel === 'public') return state;
    try {
      return (await node.contracts.get(state.key, { operator: true })).state;
    } catch (error) {
      if (errorCode(error) === 'not-found') return undefined; // it went meanwhile
      throw error;
    }
  }

  return router()
    .openapi(list, async (c) => {
      const states = await node.reader.conflicts(c.req.valid('query').limit, asShown);
      const shown = new Shown(node.leftOut);
      const rows = shown.each(states, ({ key }) => key, conflictsOf);
      shown.warn(c);
      return c.json({ conflicts: rows.flat() }, 200);
    })
    .openapi(resolve, async (c) => {
      const key = Buffer.from(c.req.valid('param').id, 'base64url').toString('utf8');
      const { field, value } = c.req.valid('json');
      if (parseRecordKey(key) === undefined) throw new AgrinetError('not-found', 'Not found');
      const state = await node.reader.get(key as RecordKey); // it has just been parsed as one
      if (state === undefined) throw new AgrinetError('not-found', 'Not found');
      const mine =
        state.channel === 'public'
          ? key.split('/')[1] === node.self
          : state.members?.writers.includes(node.self) === true;
      if (!mine)
        throw new AgrinetError('unauthorized', 'only a writer of the record can resolve its conflicts');
      const open = (await asShown(state))?.conflicts ?? {};
      if (Object.keys(state.conflicts).length > 0 && Object.keys(open).length === 0)
        throw new AgrinetError(
          'contract-state',
          'the contract is agreed; edits to its document are not binding and need no resolution',
        );
      const { id, updatedAt } = recordJson(
        (await node.catalogue.resolveConflict(state.key, field, value)).state,
      );
      return c.json({ record: id, field, value, updatedAt }, 200);
    });
}

function conflictsOf(state: RecordState): z.output<typeof Conflict>[] {
  const parts = parseRecordKey(state.key);
  if (parts === undefined) return [];
  return Object.entries(state.conflicts).map(([field, values]) => {
    const [winner, ...losing] = values.map(({ value }) => value);
    const conflict = {
      id: Buffer.from(state.key).toString('base64url'),
      collection: parts.collection,
      record: publicId(parts),
      field,
      losing,
    };
    return winner === undefined ? conflict : { ...conflict, winner };
  });
}
