import type { Access, Keys } from '../../api/ports/access.ts';
import type { DeliverableEvent } from '../../api/ports/events.ts';
import type { AuditEvent } from '../../protocols/audit/chain.ts';
import { watchedKeys } from '../access/watched-keys.ts';

const DAY_MS = 24 * 60 * 60_000;
/** Callers whose use of today is remembered; one forgotten gets a second line. */
const REMEMBERED = 10_000;

/** Keys and tokens whose issue, end and daily first use are written down. */
export function auditedAccess(
  { access, keys }: { readonly access: Access; readonly keys: Keys },
  record: (event: AuditEvent) => void,
  now: () => number,
): { readonly access: Access; readonly keys: Keys } {
  let day = 0;
  const seen = new Set<string>();
  return {
    access: {
      async authenticate(credentials) {
        const principal = await access.authenticate(credentials);
        const today = Math.floor(now() / DAY_MS);
        if (today !== day || seen.size >= REMEMBERED) seen.clear();
        day = today;
        if (principal.id !== 'anonymous' && !seen.has(principal.id)) {
          seen.add(principal.id);
          record({ kind: 'key', actor: principal.id, note: 'first used today' });
        }
        return principal;
      },
    },
    keys: watchedKeys(keys, {
      issued: ({ id, userId, scopes }) =>
        record({ kind: 'key', actor: userId, subject: id, note: `issued: ${scopes.join()}` }),
      revoked: ({ id, userId }) => record({ kind: 'key', actor: userId, subject: id, note: 'revoked' }),
      revokedWithNode({ id, userId }) {
        record({ kind: 'key', actor: userId, subject: id, note: 'revoked with the node that came with it' });
      },
      rotated({ id }, { id: successor, userId }) {
        record({ kind: 'key', actor: userId, subject: id, note: `replaced by ${successor}` });
      },
    }),
  };
}

/** The audit line of a federation event: registrations, suspensions, imports, and refusals. */
export function federationLine({
  type,
  data,
}: Pick<DeliverableEvent, 'type' | 'data'>): AuditEvent | undefined {
  const node = textOf(data['node']);
  if (type === 'federation.node') {
    const status = textOf(data['status']);
    const kind = status === 'suspended' || status === 'revoked' ? 'suspension' : 'registration';
    return { kind, actor: node, subject: node, note: status };
  }
  if (type !== 'federation.sync') return undefined;
  const { error, received = 0, imported = 0 } = data;
  if (error !== undefined) return { kind: 'refusal', actor: node, note: textOf(error) };
  if (received === 0 && imported === 0) return undefined;
  return { kind: 'import', actor: node, detail: { received, imported } };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
