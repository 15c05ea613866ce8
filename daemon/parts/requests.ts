import type { Ledger } from '../../protocols/ledger/types.ts';
import type { Audited } from '../audit/node-audit.ts';
import type { Listens } from '../hooks.ts';
import type { Face } from '../parts.ts';

/**
 * A running node for parts that act on requests: its writes are logged with their callers, and what follows from a commit is not
 * done on behalf of a request.
 */
export function forRequests<N extends Listens<'committed'>>(
  node: N,
  audited: Face<Pick<Audited, 'ledger' | 'committed'>>,
): N & { readonly ledger: Ledger } {
  const { ledger, committed } = audited.face;
  return { ...node, ledger, hooks: { ...node.hooks, committed } };
}
