import { messageFile } from '../../api/attachment-urls.ts';
import type { Committed } from '../../protocols/ledger/types.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { isMessageTime, placeOf } from '../../protocols/market/message-order.ts';
import type { Audience, EventData } from './event-log.ts';

/** An event to be emitted. */
export interface EventDraft {
  readonly type: 'conflict' | 'message';
  readonly data: EventData;
  readonly audience?: Audience;
}

/** Events of one commit at most; a catch-up causes many commits. */
const MOST = 1024;

/**
 * The events of a commit: a new conflict in a field, a new message. None per listing: the catalogue changes faster than anybody
 * reads.
 */
export function recordEvents({ changes }: Pick<Committed, 'changes'>, publicUrl = ''): EventDraft[] {
  const drafts: EventDraft[] = [];
  for (const { key, before, after } of changes) {
    const parts = parseRecordKey(key);
    if (parts === undefined || !isLive(after)) continue;
    if (parts.collection === 'messages' && !isLive(before)) {
      const draft = messageEvent(after, publicId(parts), publicUrl);
      if (draft !== undefined) drafts.push(draft);
    }
    for (const field of Object.keys(after.conflicts)) {
      if (before !== undefined && Object.hasOwn(before.conflicts, field)) continue;
      const data = { record: publicId(parts), collection: parts.collection, field };
      // Whether a private record exists at all is for its participants; of them only the operator is known here.
      const draft: EventDraft = { type: 'conflict', data };
      drafts.push(after.channel === 'public' ? draft : { ...draft, audience: { operatorOnly: true } });
    }
    if (drafts.length >= MOST) break;
  }
  return drafts.slice(0, MOST);
}

/**
 * A message as old clients know it, for listeners of its conversation, which is the private channel it is in. A message that no list
 * shows is not delivered.
 */
function messageEvent(state: RecordState, id: string, publicUrl: string): EventDraft | undefined {
  const { channel, view, created } = state;
  const conversation = parseRecordKey(channel);
  if (conversation?.collection !== 'conversations' || typeof placeOf(state) === 'string') return undefined;
  const sentAt = view['sentAt'];
  const file = messageFile(state, publicUrl);
  const message = {
    id,
    conversationId: publicId(conversation),
    from: text(view['from']),
    to: text(view['to']),
    content: text(view['content']),
    type: text(view['type']),
    timestamp: isoTime(isMessageTime(sentAt) ? sentAt : created[0]),
    ...(file === undefined ? {} : { file }),
  };
  return { type: 'message', data: { message }, audience: { conversation: channel } };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
