import { createRoute, OpenAPIHono, type RouteConfig, z } from '@hono/zod-openapi';
import { AgrinetError } from '../protocols/errors.ts';
import type { ErrorCode } from '../protocols/error-codes.ts';
import { type ApiEnv, guard, type RouteAccess } from './access.ts';
import { refusals } from './problem.ts';
import { queryNames, type UnknownNames } from './query.ts';

/** A JSON answer of a route. */
export function json<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { 'application/json': { schema } } } as const;
}

/** A JSON body of a request; one that is missing or not JSON is refused. */
export function jsonInput<S extends z.ZodType>(schema: S) {
  return { required: true, content: { 'application/json': { schema } } } as const;
}

/** A response without a JSON body, such as a stream: its handler returns a plain Response. */
export function media(description: string, ...types: string[]): { description: string } {
  const content = Object.fromEntries(types.map((type) => [type, { schema: z.string() }]));
  return Object.assign({ description }, { content });
}

/** A JSON body, or many as NDJSON, which the route then reads itself. */
export function jsonOrLines<S extends z.ZodType>(schema: S) {
  const input = jsonInput(schema);
  const lines = { schema: z.string().openapi({ description: 'One JSON object per line.' }) };
  return Object.assign(input, {
    content: { ...input.content, 'application/x-ndjson': lines },
  }) as typeof input;
}

/** A JSON body, or the same as a form with a file in it, which a middleware of the route turns into that. */
export function jsonOrForm<S extends z.ZodType>(schema: S) {
  const input = jsonInput(schema);
  const text = { type: 'string' as const };
  const form = {
    schema: {
      type: 'object' as const,
      properties: { file: { ...text, format: 'binary' }, content: text, from: text, to: text, type: text },
    },
  };
  return Object.assign(input, {
    content: { ...input.content, 'multipart/form-data': form },
  }) as typeof input;
}

/** JSON, or other media by Accept: its handler returns a plain Response. */
export function jsonOrMedia(
  schema: z.ZodType,
  description: string,
  ...types: string[]
): { description: string } {
  const other = Object.fromEntries(types.map((type) => [type, { schema: z.string() }]));
  return Object.assign({ description }, { content: { 'application/json': { schema }, ...other } });
}

/** A body that the route reads itself, line by line or as bytes. */
export function rawInput(
  type: string,
  description: string,
): { description: string; required: true; content: {} } {
  return { required: true, description, content: { [type]: { schema: z.string() } } };
}

/** A form that the route reads itself, as a signature is over all that it holds: only described here. */
export function rawForm(description: string, properties: Readonly<Record<string, string>>) {
  const schema = {
    type: 'object' as const,
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, what]) => [
        name,
        { type: 'string' as const, description: what },
      ]),
    ),
    additionalProperties: { type: 'string' as const },
  };
  return { required: true, description, content: { 'application/x-www-form-urlencoded': { schema } } };
}

/** What a route declares in addition to `createRoute`. */
interface Declared {
  /** Names it in generated clients: a verb and what it is about. */
  readonly operationId: string;
  /** Codes of refusals specific to this route, in addition to those that follow from its access and its input. */
  codes?: readonly ErrorCode[];
}

/**
 * Declares a route once, under an `operationId` that names it in generated clients: validation, the OpenAPI document and the typed
 * client come from here, and so do its access (`access`, shown as `x-access`), its refusals, and the names of its query
 * (`x-unknown-query`): others are refused, or ignored where old clients call (`unknownNames`).
 */
export function route<P extends string, R extends Omit<RouteConfig, 'path'> & Declared & { path: P }>(
  access: RouteAccess,
  config: R,
  unknownNames: UnknownNames = 'refused',
) {
  const declared = createRoute<P, R>(config);
  const query = config.request?.query;
  const names = query instanceof z.ZodObject ? Object.keys(query.shape) : [];
  const added = {
    middleware: [guard(access), queryNames(names, unknownNames), ...[config.middleware ?? []].flat()],
    security: access === 'open' || access === 'read' ? [{}, ...CREDENTIALS] : CREDENTIALS,
    'x-access': access,
    'x-unknown-query': unknownNames,
    responses: { ...refusals(access, config), ...config.responses },
  };
  delete (declared as Declared).codes;
  return Object.assign(declared, added) as typeof declared; // what is added changes no type of the handler
}

const CREDENTIALS: Record<string, string[]>[] = [{ apiKey: [] }, { bearer: [] }];

export type Router = OpenAPIHono<ApiEnv>;

/** A group of routes. Input that does not match its schema is `fields-invalid` (body) or `query-invalid`, with every problem named. */
export function router() {
  return new OpenAPIHono<ApiEnv>({
    strict: false, // `/health/` is `/health`
    defaultHook: (result) => {
      if (result.success) return;
      const problems = result.error.issues.slice(0, 10).map((issue) => {
        const where = issue.path.join('.');
        return where === '' ? issue.message : `${where}: ${issue.message}`;
      });
      if (result.target === 'param') throw new AgrinetError('not-found', 'Not found');
      throw new AgrinetError(
        result.target === 'json' ? 'fields-invalid' : 'query-invalid',
        problems.join('; '),
        { details: { problems } },
      );
    },
  });
}
