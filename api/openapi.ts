import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from '@hono/zod-openapi';
import type { ApiEnv } from './access.ts';
import { json, route } from './route.ts';

const description = `Federation daemon of Agrinet. Keys go in \`x-api-key\`, tokens in \`Authorization: Bearer\`.
\`x-access\` says who may call a route: \`open\`, or who holds that scope (\`read\` needs no key unless PUBLIC_READS=off; an operator holds every scope).
Every refusal has the shape of \`Error\`. Ids of records are \`<owner>.<local id>\`; a bare local id means this node's.
A record that cannot be read or shown is left out of lists, and a \`Warning\` names it. Lists order by signed times, none later than five minutes after a record came here.`;

const document = route('open', {
  operationId: 'getOpenApiDocument',
  method: 'get',
  path: '/openapi.json',
  tags: ['Node'],
  summary: 'This description',
  responses: { 200: json(z.looseObject({ openapi: z.string() }), 'OpenAPI 3.1') },
});

/** Serves what the routes of this app have declared. Call it when all of them are there. */
export function describeRoutes(app: OpenAPIHono<ApiEnv>, version: string): void {
  const { openAPIRegistry: registry } = app;
  registry.registerComponent('securitySchemes', 'apiKey', {
    type: 'apiKey',
    in: 'header',
    name: 'x-api-key',
  });
  registry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
  });
  let text: string | undefined;
  const config = {
    openapi: '3.1.0',
    info: {
      title: 'agrinetd',
      version,
      description,
      license: { name: 'GPL-3.0-only', identifier: 'GPL-3.0-only' },
    },
  };
  app.openapi(document, (c) => {
    text ??= JSON.stringify(app.getOpenAPI31Document(config));
    c.header('content-type', 'application/json');
    return c.body(text) as never; // the document is what its own schema says, as text
  });
}
