import type { Context } from 'hono';
import { AgrinetError } from '../protocols/errors.ts';
import { REQUEST_HEADER } from '../protocols/mycelium/signed-request.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { type ApiEnv, mayCall } from './access.ts';
import type { ExchangePort } from './ports/exchange.ts';

/**
 * The signer of a read request, if any: a registered node may read without a key, also with PUBLIC_READS=off. An invalid signature
 * is refused, not ignored. Throws `request-unsigned`, and `unauthorized` for callers who may not read.
 */
export function signerOf(
  c: Context<ApiEnv>,
  exchange: Pick<ExchangePort, 'openRequest'>,
): PeerId | undefined {
  const header = c.req.header(REQUEST_HEADER);
  const { pathname, search } = new URL(c.req.url);
  if (header !== undefined) return exchange.openRequest(header, c.req.method, pathname + search);
  if (mayCall(c.get('principal'), 'read')) return undefined;
  throw new AgrinetError('unauthorized', 'Unauthorized: Invalid API Key');
}
