/** Hours without SMS: `HH:MM` on the wall of an IANA time zone; over midnight where they end before they begin. */
export interface QuietHours {
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
}

/** Kinds of notices; every notice is of one kind. */
export const NOTICE_KINDS = [
  'message',
  'proposal',
  'acceptance',
  'refusal',
  'cancellation',
  'progress',
  'settlement',
  'dispute',
  'resolution',
  'rating',
  'hold',
  'want',
] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];

/**
 * The state of the SMS of a notice. `unknown`: whether it was sent is not known, and it is not sent again. `daily-limit`, `node-limit`
 * and `stranger-limit`: none is sent, because those of the user's day, or those that one other node or all strangers together may
 * cause in a day, are used up.
 */
export const SMS_STATES = [
  'queued',
  'sending',
  'sent',
  'unknown',
  'failed',
  'daily-limit',
  'node-limit',
  'stranger-limit',
] as const;
export type SmsState = (typeof SMS_STATES)[number];

/** What a user or the operator may set. */
export interface UserFields {
  readonly displayName?: string;
  readonly role?: string;
  readonly region?: string;
  /** BCP 47. */
  readonly language?: string;
  /** E.164. */
  readonly phone?: string;
  readonly email?: string;
  readonly quietHours?: QuietHours;
  /** False: no SMS, whatever happens. */
  readonly sms?: boolean;
  /** Kinds of notices that are only in the list of notifications. */
  readonly muted?: readonly NoticeKind[];
}

/** Their names: one that is missing here does not compile. */
const NAMES: { readonly [F in keyof Required<UserFields>]: F } = {
  displayName: 'displayName',
  role: 'role',
  region: 'region',
  language: 'language',
  phone: 'phone',
  email: 'email',
  quietHours: 'quietHours',
  sms: 'sms',
  muted: 'muted',
};
export const USER_FIELDS: readonly (keyof UserFields)[] = Object.values(NAMES);

/** Somebody whom this node serves. Times in milliseconds since 1970. */
export interface User extends UserFields {
  readonly id: string;
  readonly createdAt?: number;
  readonly updatedAt?: number;
}

/** A change: null removes a field, an absent one stays. */
export type UserChange = { readonly [F in keyof UserFields]: UserFields[F] | null | undefined };

/** The node's own users: those with a key, or with an entry here. Where users have tokens, anybody may be one. */
export interface UsersPort {
  /** By id. `cursor` is the last id of the page before. */
  list(limit: number, cursor?: string): { readonly users: readonly User[]; readonly cursor?: string };
  /** Throws `user-unknown`. */
  get(id: string): User;
  /** Creates or changes the entry of a user; on disk when it resolves. Throws `users-full`. */
  change(id: string, change: UserChange): Promise<User>;
  /** Removes the entry of a user; its keys stay. Throws `user-unknown`. */
  remove(id: string): Promise<void>;
}
