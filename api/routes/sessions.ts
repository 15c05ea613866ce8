import { z } from '@hono/zod-openapi';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import type { ApiContext } from '../context.ts';
import { json, route, router } from '../route.ts';
import { text, timestamp } from '../schemas.ts';

const link = route('operator', {
  operationId: 'createSignInLink',
  method: 'post',
  path: '/links',
  tags: ['Operator'],
  summary: 'Create a link that signs a browser in as an operator, once',
  description: 'The link works once and within 15 minutes, until the node is restarted.',
  responses: {
    201: json(
      z
        .object({
          path: text('Path and query of the link, at any address that leads to this node.'),
          expiresAt: timestamp('Until when it works.'),
        })
        .openapi('SignInLink'),
      'The link.',
    ),
  },
});

/** `/api/sessions`. */
export function sessionRoutes({ sessions }: Pick<ApiContext, 'sessions'>) {
  return router().openapi(link, async (c) => {
    const { token, expiresAt } = (await sessions()).makeLink();
    c.header('cache-control', 'no-store');
    return c.json({ path: `/sign-in/link?token=${token}`, expiresAt: isoTime(expiresAt) }, 201);
  });
}
