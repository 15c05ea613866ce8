import type { AuditPort } from '../../api/ports/audit.ts';
import type { SmsPort, SmsRequest } from '../../api/ports/sms.ts';
import type { User } from '../../api/ports/users.ts';
import { ERROR_CODES, mayRetry } from '../../protocols/error-codes.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { ContractBook } from '../../protocols/market/contract-book/types.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { SmsTable } from '../../storage/sms-table.ts';
import { type Language, languageFor, textOf, type TextName, unreviewedMark } from '../notices/texts.ts';
import type { Directory } from '../users/directory.ts';
import { ANSWER_LIMITS, AnswerCodes, type CodeRow } from './answer-codes.ts';
import { type Answer, answerIn } from './answers.ts';
import { gsmText } from './gsm7.ts';
import { isSignedByTwilio } from './signature.ts';
import { Tally } from './tally.ts';

export interface IncomingSmsParts {
  readonly table: Pick<
    SmsTable<never, CodeRow>,
    'codes' | 'codeKey' | 'put' | 'received' | 'receivedKey' | 'receive'
  >;
  /** One synced batch. */
  readonly batch: (ops: BatchOp[]) => Promise<void>;
  readonly authToken: string;
  /** Where Twilio reaches this node. */
  readonly publicUrl: string;
  readonly users: Pick<Directory, 'byPhone' | 'change'>;
  readonly contracts: Pick<ContractBook, 'step'>;
  readonly audit: Pick<AuditPort, 'during' | 'wrote'>;
  readonly languages: ReadonlyMap<string, Language>;
  readonly env: Pick<Env, 'now' | 'monotonic' | 'bytes'>;
  /** Fields name users and codes of errors; a number or a text never. */
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** The reply to the sender of an SMS, and what is written besides its receipt. */
interface Reply {
  readonly text?: TextName;
  readonly ops?: readonly BatchOp[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOTHING = '<?xml version="1.0" encoding="UTF-8"?><Response/>';

/** Answers SMS posted by Twilio: a proposal is accepted or refused by its code, as the user whose phone sent it. */
export class IncomingSms implements SmsPort {
  readonly #parts: IncomingSmsParts;
  readonly #codes: AnswerCodes;
  /** One at a time: a code is used once, and a message answered once. */
  readonly #queue = new SerialQueue();
  /** Rows of messages that were received, by their ids. */
  #received: Map<string, { readonly key: string; readonly at: number }> | undefined;
  readonly #wrongByNumber: Tally;
  readonly #wrongInAll: Tally;
  readonly #replies: Tally;

  constructor(parts: IncomingSmsParts) {
    this.#parts = parts;
    this.#codes = new AnswerCodes(parts.table, parts.env);
    const { monotonic } = parts.env;
    this.#wrongByNumber = new Tally(ANSWER_LIMITS.wrongPerNumber, DAY_MS, monotonic);
    this.#wrongInAll = new Tally(ANSWER_LIMITS.wrongInAll, HOUR_MS, monotonic);
    this.#replies = new Tally(ANSWER_LIMITS.repliesPerNumber, DAY_MS, monotonic);
  }

  async incoming({ form, path, signature }: SmsRequest): Promise<string> {
    const { authToken, publicUrl } = this.#parts;
    if (!isSignedByTwilio(authToken, publicUrl + path, form, signature))
      throw new AgrinetError(
        'request-unsigned',
        'X-Twilio-Signature does not match: Twilio has to post to PUBLIC_URL/sms/incoming, from the account of TWILIO_AUTH_TOKEN',
      );
    const [id, from, body] = ['MessageSid', 'From', 'Body'].map((name) => form.get(name) ?? '');
    if (id === undefined || id === '' || id.length > 64 || from === undefined || body === undefined)
      throw new AgrinetError('fields-invalid', 'MessageSid is missing: this is no incoming message');
    if (this.#queue.size >= ANSWER_LIMITS.waiting)
      throw new AgrinetError('busy', 'too many SMS messages wait for an answer');
    return this.#queue.run(() => this.#once(id, from, body));
  }

  async #once(id: string, from: string, body: string): Promise<string> {
    const received = (this.#received ??= await this.#read());
    if (received.has(id)) throw new AgrinetError('sms-replayed', 'this message was received before');
    const { env, table, batch, users, languages } = this.#parts;
    const owners = users.byPhone(from);
    const { text, ops = [] } = await this.#reply(answerIn(body), from, owners);
    const row = { key: table.receivedKey(id, env.now()), at: env.now() };
    const old = [...received].filter(([, { at }]) => env.now() - at > ANSWER_LIMITS.rememberMs);
    await batch([
      table.receive(row.key),
      ...ops,
      ...old.map(([, { key }]): BatchOp => ({ type: 'del', key })),
    ]);
    for (const [each] of old) received.delete(each);
    received.set(id, row);
    if (text === undefined || this.#replies.isOver(from)) return NOTHING;
    this.#replies.add(from);
    const language = languageFor(languages, owners[0]?.language);
    const words = [textOf(language, text, {}), unreviewedMark(language)];
    return twiml(gsmText(words.filter((part) => part !== undefined).join(' ')));
  }

  async #read(): Promise<Map<string, { readonly key: string; readonly at: number }>> {
    return new Map((await this.#parts.table.received()).map(({ id, ...row }) => [id, row]));
  }

  async #reply(answer: Answer | undefined, from: string, owners: readonly User[]): Promise<Reply> {
    if (answer === undefined) return { text: 'sms.help' };
    if (answer.kind === 'accept' || answer.kind === 'refuse') return this.#answer(answer, from, owners);
    // Twilio has answered these itself.
    for (const user of owners) await this.#setSms(user, answer.kind === 'start');
    return {};
  }

  async #setSms({ id, sms = true }: User, wanted: boolean): Promise<void> {
    if (sms === wanted) return;
    const { users, audit } = this.#parts;
    const caller = { key: 'sms', scope: 'write', user: id };
    await audit.during(caller, async () => {
      await users.change(id, { sms: wanted });
      audit.wrote(caller, wanted ? 'SMS START' : 'SMS STOP', id);
    });
  }

  async #answer(
    { kind, code }: Extract<Answer, { readonly code: string }>,
    from: string,
    owners: readonly User[],
  ): Promise<Reply> {
    if (owners.length === 0) return { text: 'sms.help' };
    if (this.#wrongByNumber.isOver(from) || this.#wrongInAll.isOver('')) return { text: 'sms.void' };
    for (const { id } of owners) {
      const found = await this.#codes.find(id, code, from);
      if (found !== undefined) return this.#step(kind, id, found);
    }
    this.#wrongByNumber.add(from);
    this.#wrongInAll.add('');
    const ops = await Promise.all(owners.map(({ id }) => this.#codes.wrong(id)));
    return { text: 'sms.wrong', ops: ops.flat() };
  }

  /** As the user, by the same code as a request to the API; the audit log says that it came by SMS. */
  async #step(
    kind: 'accept' | 'refuse',
    userId: string,
    { row: { contract, proposal }, used }: { readonly row: CodeRow; readonly used: BatchOp },
  ): Promise<Reply> {
    const { contracts, audit, warn } = this.#parts;
    const request =
      kind === 'accept'
        ? ({ kind: 'accept', proposal, whileNewest: proposal } as const)
        : ({ kind: 'cancel', whileNewest: proposal } as const);
    try {
      await audit.during({ key: 'sms', scope: 'write', user: userId }, async () => {
        await contracts.step(contract, request, { operator: false, userId });
      });
      return { text: kind === 'accept' ? 'sms.accepted' : 'sms.refused', ops: [used] };
    } catch (error) {
      const refusal = errorCode(error);
      if (ERROR_CODES[refusal].http === 500) throw error;
      warn('an answer by SMS was refused', { user: userId, code: refusal });
      // A temporary obstacle is no reason to invalidate the code.
      return mayRetry(refusal) ? { text: 'sms.later' } : { text: 'sms.void', ops: [used] };
    }
  }
}

const ESCAPED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

function twiml(text: string): string {
  const content = text.replaceAll(/[&<>]/g, (sign) => ESCAPED[sign] ?? sign);
  return `<?xml version="1.0" encoding="UTF-8"?><Response><Message>${content}</Message></Response>`;
}
