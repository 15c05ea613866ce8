import type { LedgerParts } from './types.ts';

/** The moment at which an entry is taken in, as it is kept with it; 0 while the clock reads what cannot be. */
export function arrival({ env, credible }: Pick<LedgerParts, 'env' | 'credible'>): number {
  return credible?.() === false ? 0 : Math.max(0, Math.floor(env.now()));
}
