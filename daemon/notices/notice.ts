import type { NoticeKind } from '../../api/ports/users.ts';
import type { Answerable } from '../sms/answer-codes.ts';
import type { TextName, TextValues } from './texts.ts';

/** Something that a user of this node is to be told. */
export interface Notice {
  /** A user of this node, by its bare name. */
  readonly userId: string;
  /** What has happened, in the same words each time; with the user it names the notice. */
  readonly event: string;
  /** When it came here, milliseconds since 1970: the same each time. */
  readonly at: number;
  readonly kind: NoticeKind;
  /** The text of the table, and what is put into it. */
  readonly text: TextName;
  readonly values: TextValues;
  /** What it is about, by names that clients know. */
  readonly about: Readonly<Record<string, string>>;
  /** Of a proposal with a sum: what may be answered by SMS. */
  readonly answer?: Answerable;
}

/** The type of the event that tells a notice. */
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
