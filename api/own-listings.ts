import { AgrinetError } from '../protocols/errors.ts';
import { isLive, type RecordState } from '../protocols/open-dialog/record.ts';
import { parseRecordKey, recordKey, type RecordKey } from '../protocols/wire/ids.ts';
import { actingUser, isOperator, type Principal } from './access.ts';
import type { ApiContext } from './context.ts';
import { keyOf } from './records.ts';

/** The listings of this node, for callers who may write them. */
export class OwnListings {
  readonly #node: Pick<ApiContext, 'self' | 'reader' | 'catalogue'>;

  constructor(node: Pick<ApiContext, 'self' | 'reader' | 'catalogue'>) {
    this.#node = node;
  }

  /** The key of a listing that this caller may change; throws `unauthorized`, `forbidden`. */
  async changeable(id: string, principal: Principal): Promise<RecordKey> {
    const { self, reader } = this.#node;
    const key = keyOf(id, self, 'listings');
    if (parseRecordKey(key)?.owner !== self)
      throw new AgrinetError(
        'unauthorized',
        'only the node that owns a listing can change it; send the request to that node',
      );
    if (isOperator(principal)) return key;
    const state = await reader.get(key);
    if (isLive(state) && state.view['userId'] !== principal.userId)
      throw new AgrinetError(
        'forbidden',
        'only the user who created a listing, or the operator, can change it',
      );
    return key;
  }

  /** Whether it has ended or not: what a user wrote only that user erases. Throws `forbidden`. */
  async checkText(key: RecordKey, principal: Principal): Promise<void> {
    const state = await this.#node.reader.get(key);
    if (!isOperator(principal) && state?.view['userId'] !== principal.userId)
      throw new AgrinetError(
        'forbidden',
        'only the user who created a listing, or the operator, can erase it',
      );
  }

  /** Creates under the caller's id, or under that of its Idempotency-Key, so that a repetition after a crash finds the existing one. */
  async create(fields: Record<string, unknown>, id: string | undefined): Promise<RecordState> {
    const { self, reader, catalogue } = this.#node;
    if (id === undefined || fields['id'] !== undefined) return (await catalogue.createListing(fields)).state;
    const known = await reader.get(recordKey('listings', self, id));
    return isLive(known) ? known : (await catalogue.createListing({ ...fields, id })).state;
  }
}

/** The fields with the user they are written for. */
export function forUser(fields: Record<string, unknown>, principal: Principal): Record<string, unknown> {
  const named = typeof fields['userId'] === 'string' ? fields['userId'] : undefined;
  const userId = actingUser(principal, named);
  return userId === undefined ? fields : { ...fields, userId };
}
