import type { LedgerParts } from './types.ts';

/** The time at which an entry is received, as stored with it; 0 while the clock shows an impossible time. */
export function arrival({ env, credible }: Pick<LedgerParts, 'env' | 'credible'>): number {
  return credible?.() === false ? 0 : Math.max(0, Math.floor(env.now()));
}
