import type { NoticeKind } from '../../api/ports/users.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Answerable } from '../sms/answer-codes.ts';
import type { TextName, TextValues } from './texts.ts';

/** Something of which a user of this node is to be notified. */
export interface Notice {
  /** A user of this node, by its bare name. */
  readonly userId: string;
  /** The event, always in the same words; together with the user it identifies the notice. */
  readonly event: string;
  /** When it arrived, milliseconds since 1970: the same each time. */
  readonly at: number;
  /** When its cause was signed, or fell due, milliseconds since 1970: what is older than a loss of this node's data may have been told before it. */
  readonly signedAt: number;
  readonly kind: NoticeKind;
  /** The node whose user or record has caused it. */
  readonly causedBy: PeerId | undefined;
  /** A text of the table, and the values to insert. */
  readonly text: TextName;
  readonly values: TextValues;
  /** Its subject, by names that clients know. */
  readonly about: Readonly<Record<string, string>>;
  /** Of a proposal with a sum: what may be answered by SMS. */
  readonly answer?: Answerable;
}

/** The type of the event for a notice. */
export function eventTypeOf(kind: NoticeKind): string {
  switch (kind) {
    case 'message':
    case 'rating':
      return kind;
    case 'want':
      return 'notification';
    case 'proposal':
    case 'acceptance':
    case 'refusal':
    case 'cancellation':
    case 'progress':
    case 'settlement':
    case 'dispute':
    case 'resolution':
    case 'hold':
      return 'contract.update';
  }
}
