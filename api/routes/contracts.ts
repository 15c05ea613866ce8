import { Hono } from 'hono';
import { AgrinetError } from '../../protocols/errors.ts';
import { isLive } from '../../protocols/open-dialog/record.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import type { Guards } from '../guards.ts';
import { jsonBody } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { keyFrom, recordJson } from '../records.ts';

const PARTIES = ['buyerId', 'supplierId'] as const;

/** The nodes of the parties named as `user@peer-id`; throws `party-unknown` for one that is not registered. */
function partiesOf(node: ApiContext, body: Readonly<Record<string, unknown>>): PeerId[] {
  return PARTIES.flatMap((name) => {
    const value = body[name];
    if (typeof value !== 'string' || !value.includes('@')) return [];
    const peer = parsePeerId(value.slice(value.lastIndexOf('@') + 1));
    const known =
      peer !== undefined &&
      (peer === node.self || node.nodes().some((n) => n.peerId === peer && n.status === 'active'));
    if (peer === undefined || !known)
      throw new AgrinetError(
        'party-unknown',
        `${name}: that node is not registered here; register it with: agrinet join <its url> --key <its key>`,
      );
    return [peer];
  });
}

export function contractRoutes(node: ApiContext, { needsKey, mayRead }: Guards): Hono {
  const routes = new Hono();
  routes.post('/', needsKey, async (c) => {
    const body = await jsonBody(c);
    const { state } = await node.catalogue.createContract(body, partiesOf(node, body));
    return c.json(recordJson(state, 'contractId'), 201);
  });
  routes.get('/', mayRead, async (c) => {
    const { records, cursor } = await node.reader.list(
      'contracts',
      { fields: {} },
      100,
      c.req.query('cursor'),
    );
    const open = records.filter((state) => state.channel === 'public');
    return c.json({
      contracts: open.map((state) => recordJson(state, 'contractId')),
      ...(cursor === undefined ? {} : { cursor }),
    });
  });
  routes.get('/:id', needsKey, async (c) => {
    const state = await node.reader.get(keyFrom(c, node, 'contracts'));
    if (!isLive(state)) throw new AgrinetError('not-found', 'Not found');
    return c.json(recordJson(state, 'contractId'));
  });
  routes.patch('/:id', needsKey, async (c) => {
    const key = keyFrom(c, node, 'contracts');
    const state = await node.reader.get(key);
    if (!isLive(state)) throw new AgrinetError('not-found', 'Not found');
    const mayWrite =
      state.channel === 'public'
        ? key.split('/')[1] === node.self
        : state.members?.writers.includes(node.self) === true;
    if (!mayWrite)
      throw new AgrinetError('unauthorized', 'only a party of the contract can change its terms');
    return c.json(recordJson((await node.catalogue.patch(key, await jsonBody(c))).state, 'contractId'));
  });
  return routes;
}
