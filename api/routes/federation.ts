import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { AgrinetError } from '../../protocols/errors.ts';
import { decodeRangeRequest, type RangeRequest } from '../../protocols/mycelium/range.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import type { Guards } from '../guards.ts';
import { jsonBody, queryNumber } from '../body.ts';
import type { ApiContext, NodeStanding } from '../context.ts';
import { scalarsOf, viewJson } from '../../protocols/market/catalogue.ts';
import { nodeTemplate, profileFields } from '../node-template.ts';
import { recordJson } from '../records.ts';

const iso = (ms: number): string | null => (ms === 0 ? null : new Date(ms).toISOString());

export function federationRoutes(node: ApiContext, guards: Guards): Hono {
  const { needsKey, mayRead } = guards;
  const routes = new Hono();
  routes.get('/identity', (c) => c.json(node.identity()));
  routes.get('/digest', mayRead, (c) => c.json(node.digest()));
  routes.get('/peers', needsKey, (c) => c.json({ peers: node.peers() }));
  routes.get('/ops', needsKey, async (c) =>
    c.json({ ops: await node.reader.verdicts(queryNumber(c, 'limit', 100, 1, 1000)) }),
  );

  routes.get('/nodes', mayRead, async (c) => {
    const nodes = await Promise.all(node.nodes().map((each) => nodeJson(node, each)));
    return c.json({ nodes });
  });
  routes.get('/status', mayRead, (c) => {
    const federationHealth = node.nodes().map((each) => ({
      node: each.url === '' ? each.peerId : each.url,
      status: each.connected && each.status === 'active' ? 'ONLINE' : 'OFFLINE',
      listings: each.listings,
      transactions: 0,
      users: 0,
      lastSync: iso(each.lastSyncAt),
      ...(each.connected ? {} : { error: each.status === 'active' ? 'not connected' : each.status }),
    }));
    return c.json({ federationHealth });
  });

  routes.get('/profile', mayRead, async (c) => {
    const state = await node.reader.get(recordKey('nodes', node.self, 'profile'));
    return c.json(nodeTemplate(node.self, state?.view));
  });
  routes.put('/profile', needsKey, async (c) => {
    const { state } = await node.catalogue.putProfile(scalarsOf('nodes', profileFields(await jsonBody(c))));
    return c.json(nodeTemplate(node.self, state.view));
  });

  routes.post('/join', needsKey, async (c) => {
    const { url, key } = await jsonBody(c);
    if (typeof url !== 'string' || typeof key !== 'string')
      throw new AgrinetError('fields-invalid', 'url: the node to join; key: an API key of that node');
    return c.json(publicNode(await node.join(url, key)));
  });
  routes.post('/node/register', needsKey, async (c) => {
    const { statement, contactEmail } = await jsonBody(c);
    if (typeof statement !== 'string') {
      throw new AgrinetError(
        'fields-invalid',
        'statement: the signed registration in base64url; register with: agrinet join <url> --key <key>',
      );
    }
    const email = typeof contactEmail === 'string' && contactEmail.length <= 256 ? contactEmail : undefined;
    const done = await node.register(new Uint8Array(Buffer.from(statement, 'base64url')), email);
    return c.json(
      { ...publicNode(done.node), statement: Buffer.from(done.statement).toString('base64url') },
      201,
    );
  });
  routes.post('/nodes/:id/suspend', needsKey, async (c) =>
    c.json(publicNode(await node.setStatus(c.req.param('id'), 'suspended'))),
  );
  routes.post('/nodes/:id/resume', needsKey, async (c) =>
    c.json(publicNode(await node.setStatus(c.req.param('id'), 'active'))),
  );
  routes.get('/sync', async (c) => {
    await node.sync();
    return c.json({ status: 'queued' }, 202);
  });

  routes.get('/feeds', mayRead, (c) =>
    c.json({ feeds: node.feeds().filter((feed) => feed.channel === 'public') }),
  );
  routes.get('/feeds/:author', mayRead, (c) => {
    const author = parsePeerId(c.req.param('author'));
    if (author === undefined) throw new AgrinetError('not-found', 'Not found');
    const have = haveOf(c.req.query('have'), author);
    c.header('content-type', 'application/cbor-seq');
    return stream(c, async (out) => {
      for await (const entry of node.feedRange(author, have)) await out.write(entry);
    });
  });
  routes.get('/export', mayRead, (c) => {
    c.header('content-type', 'application/json');
    return stream(c, async (out) => {
      // One JSON body for old clients, written piece by piece: memory stays bounded whatever the size.
      const sections = [
        ['listings', 'listingId'],
        ['contracts', 'contractId'],
      ] as const;
      let open = '{';
      for (const [collection, idField] of sections) {
        let text = `${open}"${collection}":[`;
        let first = true;
        for await (const state of node.reader.all(collection)) {
          if (state.channel !== 'public') continue;
          text += (first ? '' : ',') + JSON.stringify(recordJson(state, idField));
          first = false;
          if (text.length > 32_768) {
            await out.write(text);
            text = '';
          }
        }
        await out.write(`${text}]`);
        open = ',';
      }
      await out.write(',"trends":[],"transactions":[],"users":[]}');
    });
  });
  return routes;
}

/** What the asker has, as a base64url range request; nothing means all. Throws `query-invalid`. */
function haveOf(text: string | undefined, author: string): RangeRequest['have'] {
  if (text === undefined) return [];
  try {
    const request = decodeRangeRequest(new Uint8Array(Buffer.from(text, 'base64url')));
    if (request.author === author && request.channel === 'public') return request.have;
  } catch (error) {
    throw new AgrinetError('query-invalid', 'have: a range request in base64url, see protocols/README.md', {
      cause: error,
    });
  }
  throw new AgrinetError('query-invalid', 'have: made for another author or channel');
}

function publicNode(node: {
  peerId: string;
  url: string;
  region: string;
  status: string;
}): Record<string, string> {
  const { peerId, url, region, status } = node;
  return { peerId, nodeId: peerId, url, region, status };
}

async function nodeJson(node: ApiContext, each: NodeStanding): Promise<Record<string, unknown>> {
  const state = await node.reader.get(recordKey('nodes', each.peerId, 'profile'));
  const { url, region, status, schemaVersion, connected, lag, nextRetryAt, name, listings } = each;
  return {
    ...nodeTemplate(each.peerId, state?.view),
    ...(state === undefined ? {} : { profile: viewJson(state.view) }),
    peerId: each.peerId,
    nodeId: each.peerId,
    name,
    url,
    region,
    status,
    lastSync: iso(each.lastSyncAt),
    lastSyncAt: iso(each.lastSyncAt),
    connected,
    lag,
    listings,
    schemaVersion,
    nextRetryAt: nextRetryAt === undefined ? null : new Date(nextRetryAt).toISOString(),
  };
}
