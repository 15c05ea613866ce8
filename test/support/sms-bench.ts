import type { User } from '../../api/ports/users.ts';
import type { OutgoingSms } from '../../daemon/sms/outgoing.ts';
import { SmsSender } from '../../daemon/sms/sms-sender.ts';
import type { Found, Sent } from '../../daemon/sms/twilio.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import { HandClock } from './hand-clock.ts';

/** A provider that does as it is told, and counts. */
export interface BenchProvider {
  sent: () => Sent | Promise<Sent>;
  found: () => Found;
  readonly sends: string[];
  readonly finds: string[];
}

/** A sender of SMS whose disk is a map, under a clock that only the test moves. */
export function smsBench(users: readonly User[] = [{ id: 'amina', phone: '+254700000001' }]) {
  const clock = new HandClock();
  const rows = new Map<string, { readonly at: number; readonly sms: OutgoingSms }>();
  const provider: BenchProvider = {
    sent: () => ({ kind: 'sent', id: 'SM1' }),
    found: () => ({ kind: 'absent' }),
    sends: [],
    finds: [],
  };
  /** What became of each, as its line has it. */
  const lines = new Map<string, string | undefined>();
  const denied: number[] = [];
  const warnings: string[] = [];
  const optedOut: string[] = [];
  const summary: { text: string | undefined } = { text: undefined };
  const put = (at: number, sms: OutgoingSms): string => {
    const key = `${String(at).padStart(16, '0')}${sms.notificationId}`;
    rows.set(key, { at, sms });
    return key;
  };
  const written = (ops: readonly BatchOp[]): void => {
    for (const op of ops) if (op.type === 'del') rows.delete(op.key);
  };
  const inOrder = () => [...rows.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const sender = new SmsSender({
    table: {
      due: async (limit, now) =>
        inOrder()
          .filter(([, { at }]) => at <= now)
          .slice(0, limit)
          .map(([key, { sms }]) => ({ key, what: sms })),
      nextDue: async () => inOrder()[0]?.[1].at,
      // Written at once: a batch that is lost is shown where the disk is one.
      later: (at, _, sms) => ({ type: 'put', key: put(at, sms), value: new Uint8Array() }),
    },
    lines: {
      setSms: async (_, id, state, ops) => {
        written(ops);
        lines.set(id, state);
      },
    },
    batch: async (ops) => written(ops),
    provider: {
      send: async ({ to, body }) => {
        provider.sends.push(`${to} ${body}`);
        return provider.sent();
      },
      find: async ({ to, body }) => {
        provider.finds.push(`${to} ${body}`);
        return provider.found();
      },
    },
    users: {
      find: (id) => users.find((user) => user.id === id),
      optOut: async (id) => void optedOut.push(id),
    },
    summaryText: async () => summary.text,
    env: clock.env,
    warn: (message, fields) => warnings.push(`${message} ${JSON.stringify(fields)}`),
    onDenied: (status) => denied.push(status),
  });
  return {
    clock,
    provider,
    sender,
    lines,
    rows,
    denied,
    warnings,
    optedOut,
    /** The text of summaries. */
    summary,
    /** Queues the SMS of a notice. */
    queue: (id: string, more: Partial<OutgoingSms> = {}): void => {
      const at = clock.env.now();
      put(at, { userId: 'amina', notificationId: id, body: `hello #${id}`, at, tries: 0, ...more });
      sender.wake();
    },
  };
}
