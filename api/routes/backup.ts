import { z } from '@hono/zod-openapi';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import type { BackupPort } from '../ports/backup.ts';
import { media, route, router } from '../route.ts';

const backup = route('operator', {
  operationId: 'downloadBackup',
  method: 'get',
  path: '/',
  tags: ['Operator'],
  summary: 'A backup of this moment, as agrinet backup writes it; no key of the node is in it',
  request: {
    query: z.object({
      withKeys: z.enum(['true', 'false']).default('false').openapi({
        description: 'Whether the manifest is to say that keys follow: the command puts them in itself',
      }),
    }),
  },
  responses: { 200: media('See storage/README.md', 'application/octet-stream') },
});

export function backupRoutes(node: { readonly backups: BackupPort } & Pick<ApiContext, 'log'>) {
  return router().openapi(backup, async (c) => {
    const source = await node.backups.open({ withKeys: c.req.valid('query').withKeys === 'true' });
    const body = byteStream(source, (error) => node.log('a backup broke off', { err: error }));
    return c.body(body, 200, { 'content-type': 'application/octet-stream' });
  });
}
