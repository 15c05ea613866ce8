import type { SmsState, User } from '../../api/ports/users.ts';
import type { NotificationTable } from '../../storage/notification-table.ts';
import { type Language, languageFor } from '../notices/texts.ts';
import type { OutgoingSms } from './outgoing.ts';
import { smsText, smsToken } from './sms-text.ts';

export interface SummaryParts {
  readonly lines: Pick<NotificationTable, 'count'>;
  readonly users: { find(id: string): User | undefined };
  readonly languages: () => Promise<ReadonlyMap<string, Language>>;
  /** Where users find their notices. */
  readonly noticesAt: string;
}

/** Of notices that the daily limits have left without an SMS. */
const WITHOUT: ReadonlySet<string> = new Set<SmsState>(['daily-limit', 'node-limit', 'stranger-limit']);

/** How many notices of a user got no SMS and have not been read, and where they are; undefined for none. */
export async function summaryText(
  { lines, users, languages, noticesAt }: SummaryParts,
  { userId, notificationId }: Pick<OutgoingSms, 'userId' | 'notificationId'>,
): Promise<string | undefined> {
  const many = await lines.count(userId, ({ sms = '', read }) => !read && WITHOUT.has(sms));
  if (many === 0) return undefined;
  const language = languageFor(await languages(), users.find(userId)?.language);
  const values = { count: String(many) };
  return smsText({ language, text: 'sms.summary', values, tail: noticesAt, token: smsToken(notificationId) });
}
