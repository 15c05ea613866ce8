import { Hono } from 'hono';
import { AgrinetError } from '../../protocols/errors.ts';
import { parseRecordKey, publicId, type RecordKey } from '../../protocols/wire/ids.ts';
import type { Guards } from '../guards.ts';
import { jsonBody, queryNumber } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { recordJson } from '../records.ts';

/** Fields that two writers changed without knowing of one another, and the settling of them. */
export function conflictRoutes(node: ApiContext, { needsKey }: Guards): Hono {
  const routes = new Hono();
  routes.get('/', needsKey, async (c) => {
    const states = await node.reader.conflicts(queryNumber(c, 'limit', 100, 1, 1000));
    const conflicts = states.flatMap((state) => {
      const parts = parseRecordKey(state.key);
      return Object.entries(state.conflicts).map(([field, values]) => ({
        id: Buffer.from(state.key).toString('base64url'),
        collection: parts?.collection,
        record: parts && publicId(parts),
        field,
        winner: values[0]?.value,
        losing: values.slice(1).map(({ value }) => value),
      }));
    });
    return c.json({ conflicts });
  });
  routes.post('/:id/settle', needsKey, async (c) => {
    const key = Buffer.from(c.req.param('id'), 'base64url').toString('utf8');
    const { field, value } = await jsonBody(c);
    if (parseRecordKey(key) === undefined) throw new AgrinetError('not-found', 'Not found');
    if (
      typeof field !== 'string' ||
      (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    ) {
      throw new AgrinetError('fields-invalid', 'field: its name; value: the value that shall stand');
    }
    const state = await node.reader.get(key as RecordKey);
    const mine =
      state?.channel === 'public'
        ? key.split('/')[1] === node.self
        : state?.members?.writers.includes(node.self);
    if (mine !== true)
      throw new AgrinetError('unauthorized', 'only a writer of the record can settle its conflicts');
    const saved = await node.catalogue.settleConflict(key as RecordKey, field, value);
    return c.json(recordJson(saved.state, 'recordId'));
  });
  return routes;
}
