import type { SublevelName } from './keyspace.ts';

/**
 * Where the rows of each sublevel come from: `feeds` are the source of truth that others hold too, `derived` is a function of them
 * (a rebuild creates it, a scrub compares it), `counted` are figures over rows of others (a rebuild counts them again, fsck compares
 * them), `followed` is made from derived rows by a follower of the change order while the node runs (a rebuild empties it, a scrub
 * compares it), `own` is this node's alone. Complete by its type: a new sublevel has to be classified.
 */
const DERIVATION = {
  meta: 'own',
  feeds: 'feeds',
  entries: 'feeds',
  records: 'derived',
  recordOps: 'derived',
  past: 'derived',
  verdicts: 'derived',
  awaiting: 'derived',
  digests: 'derived',
  index: 'derived',
  changes: 'derived',
  usage: 'counted',
  forgotten: 'own',
  forks: 'feeds',
  erasures: 'feeds',
  checkpoints: 'feeds',
  fetched: 'own',
  floors: 'feeds',
  registry: 'own',
  journal: 'own',
  httpNodes: 'own',
  nonces: 'own',
  sources: 'own',
  legacy: 'own',
  apiKeys: 'own',
  sessions: 'own',
  jobs: 'own',
  users: 'own',
  notifications: 'own',
  pendingNotices: 'own',
  sentNotices: 'own',
  sms: 'own',
  wants: 'own',
  events: 'own',
  privateEvents: 'own',
  audit: 'own',
  idempotency: 'own',
  reliability: 'own',
  fences: 'own',
  addresses: 'own',
  search: 'followed',
  attachments: 'own',
  outbox: 'own',
} as const satisfies Readonly<Record<SublevelName, 'feeds' | 'derived' | 'counted' | 'followed' | 'own'>>;

export type DerivedName = {
  [N in SublevelName]: (typeof DERIVATION)[N] extends 'derived' ? N : never;
}[SublevelName];

const isDerived = (name: SublevelName): name is DerivedName => DERIVATION[name] === 'derived';

/** Every sublevel that a rebuild derives again, row by row. */
export const DERIVED: readonly DerivedName[] = (Object.keys(DERIVATION) as SublevelName[]).filter(isDerived);

/** Every sublevel that a rebuild counts again. */
export const COUNTED: readonly SublevelName[] = (Object.keys(DERIVATION) as SublevelName[]).filter(
  (name) => DERIVATION[name] === 'counted',
);

/** Every sublevel that is created again while the node runs, once it is empty. */
export const FOLLOWED: readonly SublevelName[] = (Object.keys(DERIVATION) as SublevelName[]).filter(
  (name) => DERIVATION[name] === 'followed',
);
