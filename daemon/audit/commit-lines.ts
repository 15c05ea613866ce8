import type { AuditEvent } from '../../protocols/audit/chain.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Committed } from '../../protocols/ledger/types.ts';
import { verifyTransition } from '../../protocols/market/contract/statement.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { fromBase64url } from '../../protocols/wire/bytes.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';

/** Steps that a node signs by itself, also while it carries out a request: they were not requested. */
export const SIGNED_BY_THE_NODE: ReadonlySet<string> = new Set(['expire']);

/** Lines of one commit at most; a catch-up causes many commits. */
const MOST = 1024;

/**
 * The audit lines of a commit: steps and progress of contracts, ratings and notes on them, and messages by their hash; texts stay in
 * their channel. Listings and prices are in the feeds themselves, signed.
 */
export function commitLines({ changes }: Pick<Committed, 'changes'>): AuditEvent[] {
  const lines: AuditEvent[] = [];
  for (const { key, before, after } of changes) {
    const parts = parseRecordKey(key);
    if (parts === undefined || !isLive(after) || isLive(before)) continue;
    const actor = textOf(after, 'from') ?? parts.owner;
    const channel = parseRecordKey(after.channel);
    const transactionId = channel === undefined ? undefined : publicId(channel);
    const base = {
      actor,
      subject: publicId(parts),
      ...(transactionId === undefined ? {} : { transactionId }),
      detail: { hash: after.heads[0] ?? '' },
    };
    if (parts.collection === 'transitions')
      lines.push({ kind: 'contract', ...base, ...stepOf(after, parts.owner) });
    else if (parts.collection === 'pings') lines.push({ kind: 'ping', ...base });
    else if (parts.collection === 'ratings')
      lines.push({ kind: 'rating', ...base, detail: { ...base.detail, score: after.view['score'] ?? null } });
    else if (parts.collection === 'rating-notes')
      lines.push({ kind: 'rating', ...base, ...noteOf(after, parts.owner) });
    else if (parts.collection === 'messages') lines.push({ kind: 'dialog', ...base });
    if (lines.length >= MOST) break;
  }
  return lines;
}

/** The note on a rating, and its author. */
function noteOf(state: RecordState, owner: string): Pick<AuditEvent, 'actor' | 'note' | 'detail'> {
  return {
    actor: textOf(state, 'by') ?? owner,
    note: textOf(state, 'kind') ?? '',
    detail: { hash: state.heads[0] ?? '', rating: textOf(state, 'rating') ?? '' },
  };
}

/** Which step it was and whose; what its node did not sign right is noted as that. */
function stepOf(state: RecordState, owner: string): Pick<AuditEvent, 'actor' | 'note' | 'detail'> {
  const hash = state.heads[0] ?? '';
  try {
    // Text that is not base64url is decoded as empty.
    const bytes = fromBase64url(textOf(state, 'statement') ?? '');
    const step = verifyTransition(bytes ?? new Uint8Array(0));
    return { actor: step.party, note: step.kind, detail: { hash, step: step.hash } };
  } catch (error) {
    if (!(error instanceof AgrinetError)) throw error;
    return { actor: owner, note: error.code, detail: { hash } };
  }
}

function textOf({ view }: RecordState, field: string): string | undefined {
  const value = view[field];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
