import { AsyncLocalStorage } from 'node:async_hooks';
import type { AuditPort, Caller } from '../../api/ports/audit.ts';
import type { AuditEvent } from '../../protocols/audit/chain.ts';
import type { Env } from '../../protocols/env.ts';
import type { Ledger, Written } from '../../protocols/ledger/types.ts';
import { isLive } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import { commitLines, SIGNED_BY_THE_NODE } from './commit-lines.ts';
import { RepeatedWrites } from './repeated-writes.ts';

/** A request in progress, and what is known of its write so far. */
interface Running {
  readonly caller: Caller;
  lines: number;
  subject: string | undefined;
  whom: string | undefined;
  ended: boolean;
}

/** Knows on whose behalf something is done, through every await of the request that does it. */
export interface Callers extends Pick<AuditPort, 'during' | 'wrote'> {
  /** Records, with key and scope when a request does it. */
  record(event: AuditEvent): void;
  /** The ledger, each write of which is written down with key and scope. */
  ledgerOf(ledger: Ledger): Ledger;
  /** Runs something outside the request that happened to start it. */
  outside<T>(work: () => T): T;
  stop(): void;
}

export function createCallers(record: (event: AuditEvent) => void, env: Pick<Env, 'after'>): Callers {
  const running = new AsyncLocalStorage<Running>();
  const writes = new RepeatedWrites(record, env);

  /** What continues after a request, such as a loop that it woke, is no longer done on its behalf. */
  function current(): Running | undefined {
    const found = running.getStore();
    return found === undefined || found.ended ? undefined : found;
  }
  return {
    record(event) {
      const request = current();
      if (request === undefined) return record(event);
      request.lines++;
      record(byCaller(event, request, event.kind === 'key' ? event.actor : request.caller.user));
    },
    async during(caller, work) {
      const request: Running = { caller, lines: 0, subject: undefined, whom: undefined, ended: false };
      try {
        await running.run(request, work);
      } finally {
        request.ended = true;
      }
    },
    wrote({ key, user, scope }, what, subject) {
      const request = current();
      if (request === undefined || request.lines > 0) return;
      // A user's own records name their author, and are in the feed; their number has no bound.
      const { whom } = request;
      const isOwn = whom === user || (whom === undefined && scope !== 'operator');
      if (request.subject !== undefined && isOwn) return;
      const event: AuditEvent = { kind: 'write', actor: key, note: what };
      const named = subject === undefined ? event : { ...event, subject };
      writes.record(byCaller(named, request, whom ?? user), request.subject);
    },
    ledgerOf: (ledger) => ({
      ...ledger,
      async write(request) {
        const written = await ledger.write(request);
        recordWritten(written, current(), record);
        return written;
      },
    }),
    outside: (work) => running.exit(work),
    stop: () => writes.stop(),
  };
}

function byCaller(
  event: AuditEvent,
  { caller: { key, scope } }: Running,
  whom: string | undefined,
): AuditEvent {
  const by = { key, scope, ...(whom === undefined ? {} : { for: whom }) };
  return { ...event, detail: { ...event.detail, ...by } };
}

/** A write's own lines name its author; what it wrote is noted for the line of the request where there are none. */
function recordWritten(
  { records }: Written,
  request: Running | undefined,
  record: (event: AuditEvent) => void,
): void {
  const changes = records.flatMap(({ key, before, after }) =>
    after === undefined ? [] : [{ key, before, after }],
  );
  for (const line of commitLines({ changes })) {
    const isAsked = request !== undefined && !SIGNED_BY_THE_NODE.has(line.note ?? '');
    if (isAsked) request.lines++;
    record(isAsked ? byCaller(line, request, line.actor) : line);
  }
  const first = changes[0];
  if (request === undefined || first === undefined || !isLive(first.after)) return;
  const parts = parseRecordKey(first.key);
  request.subject ??= parts && publicId(parts);
  const { userId, from } = first.after.view;
  const whom = userId ?? from;
  if (typeof whom === 'string' && whom !== '') request.whom ??= whom;
}
