import type { AddressInfo } from 'node:net';
import express from 'express';

/** An item as the old back end keeps it. */
export type LegacyRecord = Record<string, unknown>;

/**
 * A node as the old back end behaves: `GET /federation/export` is one JSON body {listings, transactions, users} with whatever the
 * tables hold, e-mail addresses of users included; no identity, no hashes, no cursor. Express gives it an ETag.
 */
export interface LegacyNode {
  readonly origin: string;
  readonly tables: { listings: LegacyRecord[]; transactions: LegacyRecord[]; users: LegacyRecord[] };
  /** Bytes of export bodies sent so far. */
  sent(): number;
  /** Answers the next requests with this text instead, until it is undefined. */
  broken: string | undefined;
  stop(): Promise<void>;
}

export async function startLegacyNode(count: number, { etag = true } = {}): Promise<LegacyNode> {
  const at = (i: number): string => new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString();
  const tables: LegacyNode['tables'] = {
    listings: Array.from({ length: count }, (_, i) => ({
      id: `listing-${i}`,
      userId: `user-${i % 10}`,
      type: i % 2 === 0 ? 'offer' : 'request',
      title: `White maize, lot ${i}`,
      description:
        'Dried to 13.5 % moisture, in bags of 90 kg; collection at the store or delivery by agreement.',
      price: 3000 + (i % 700),
      location: ['Nakuru', 'Eldoret', 'Kitale'][i % 3],
      category: 'cereals',
      createdAt: at(i),
      updatedAt: at(i),
    })),
    transactions: [
      {
        id: 'tx-1',
        contractId: 'c-1',
        consumerId: 'user-1',
        producerId: 'user-2',
        rating: 3,
        status: 'done',
        createdAt: at(1),
      },
    ],
    users: Array.from({ length: 10 }, (_, i) => ({
      id: `user-${i}`,
      email: `user-${i}@farm.example`,
      phone: '+254700000000',
      password: 'hash',
      role: 'producer',
      reputationScore: 2 + i / 10,
      createdAt: at(i),
    })),
  };
  let sent = 0;
  const app = express();
  if (!etag) app.disable('etag');
  const node = { broken: undefined as string | undefined };
  app.get('/federation/export', (_, response) => {
    const body = node.broken ?? JSON.stringify(tables);
    response.on('finish', () => {
      if (response.statusCode === 200) sent += Buffer.byteLength(body);
    });
    response.type('application/json').send(body);
  });
  const server = app.listen(0, '127.0.0.1');
  await new Promise<void>((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(node, {
    origin: `http://127.0.0.1:${port}`,
    tables,
    sent: () => sent,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
