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
  summary: 'Download a backup of this node, without its keys',
  description: 'A consistent snapshot in the format of `agrinet backup`; see storage/README.md.',
  codes: ['backup-busy'],
  request: {
    query: z.object({
      withKeys: z.enum(['true', 'false']).default('false').openapi({
        description: 'Whether the manifest says that keys follow; the command line adds them itself.',
      }),
    }),
  },
  responses: { 200: media('The backup.', 'application/octet-stream') },
});

export function backupRoutes(node: { readonly backups: BackupPort } & Pick<ApiContext, 'log'>) {
  return router().openapi(backup, async (c) => {
    const source = await node.backups.open({ withKeys: c.req.valid('query').withKeys === 'true' });
    const body = byteStream(source, (error) => node.log('a backup broke off', { err: error }));
    return c.body(body, 200, { 'content-type': 'application/octet-stream' });
  });
}
