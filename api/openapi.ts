import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from '@hono/zod-openapi';
import type { ApiEnv } from './access.ts';
import { json, route } from './route.ts';
import { JsonValue, text } from './schemas.ts';

const description = `API of an Agrinet federation node. Send an API key in the \`x-api-key\` header or a token in \`Authorization: Bearer\`.
\`x-access\` names the scope that an operation requires: \`open\` requires none, \`known\` any key or token, and \`read\` no key unless the node sets PUBLIC_READS=off. An operator key has every scope.
Errors are \`Problem\` objects; each operation lists the error codes it can return. Record IDs are \`<owner>.<local id>\`; a local ID alone refers to this node.
Lists omit records that cannot be read and name them in a \`Warning\` header. They are sorted by signed timestamps, which are never accepted more than five minutes ahead of the arrival of a record.`;

const document = route('open', {
  operationId: 'getOpenApiDocument',
  method: 'get',
  path: '/openapi.json',
  tags: ['Node'],
  summary: 'Retrieve the OpenAPI document of this API',
  responses: {
    200: json(
      z
        .object({ openapi: text('Version of OpenAPI.') })
        .catchall(JsonValue)
        .openapi('OpenApiDocument'),
      'The OpenAPI 3.1 document.',
    ),
  },
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
