import { LRUCache } from 'lru-cache';
import { AgrinetError } from '../../errors.ts';
import { atMost } from '../../lru-bound.ts';
import type { Scalar } from '../../open-dialog/change.ts';
import { base64url, fromBase64url } from '../../wire/bytes.ts';
import type { PeerId } from '../../wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import { verifyTransition, splitCarried } from '../contract/statement.ts';
import { nodeOf } from '../party.ts';
import type { BookReader, SignedStatement } from './types.ts';

/** Facts read of each owner: an owner that writes more hides only its own. */
export const STATEMENTS_READ = 256;
/** Verified statements kept in memory. */
const KEPT = 16_384;

/** What the facts of one contract's channel hold. */
export interface ChannelStatements {
  readonly all: readonly SignedStatement[];
  /** The same as the facts of each node name them, the nodes in turn: some more than once. */
  readonly inTurns: readonly SignedStatement[];
  /** Hashes of those that this node's own facts repeat. */
  readonly repeated: ReadonlySet<string>;
}

/** Reads and verifies the statements of contracts. */
export class SignedStatements {
  readonly #reader: Pick<BookReader, 'factsOf'>;
  readonly #self: PeerId;
  /** By their bytes, base64url; false for what is not validly signed. */
  readonly #verified = new LRUCache<string, SignedStatement | false>(atMost(KEPT));

  constructor(reader: Pick<BookReader, 'factsOf'>, self: PeerId) {
    this.#reader = reader;
    this.#self = self;
  }

  /** All statements of a channel, each once, first those that another node repeats, which nobody can crowd out. */
  async of(channel: RecordKey): Promise<ChannelStatements> {
    const own: SignedStatement[] = [];
    const byOthers: SignedStatement[] = [];
    const byItself: SignedStatement[] = [];
    const byOwner = new Map<string, SignedStatement[]>();
    const repeated = new Set<string>();
    for (const { key, view } of await this.#reader.factsOf('transitions', channel, STATEMENTS_READ)) {
      const text = String(view['statement'] ?? '');
      const bytes = fromBase64url(text);
      const one = bytes && this.#verify(text, bytes);
      if (one === undefined) continue;
      own.push(one);
      const owner = parseRecordKey(key)?.owner ?? '';
      const carried = this.#carriedBy(view['carried']);
      const ofOwner = byOwner.get(owner) ?? [];
      byOwner.set(owner, ofOwner);
      ofOwner.push(one, ...carried);
      for (const other of carried) {
        (nodeOf(other.transition.party) === owner ? byItself : byOthers).push(other);
        if (owner === this.#self) repeated.add(other.transition.hash);
      }
    }
    const byHash = new Map<string, SignedStatement>();
    for (const one of [...byOthers, ...own, ...byItself])
      if (one.transition.contract === channel) byHash.set(one.transition.hash, one);
    const ofNodes = [...byOwner].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, said]) => said);
    const here = ({ transition }: SignedStatement): boolean => transition.contract === channel;
    return { all: [...byHash.values()], inTurns: inTurns(ofNodes).filter(here), repeated };
  }

  #carriedBy(field: Scalar | undefined): SignedStatement[] {
    try {
      return splitCarried(String(field ?? '')).flatMap(
        (bytes) => this.#verify(base64url(bytes), bytes) ?? [],
      );
    } catch (error) {
      if (!(error instanceof AgrinetError)) throw error;
      return []; // it repeats nothing then
    }
  }

  #verify(text: string, bytes: Uint8Array): SignedStatement | undefined {
    let statement = this.#verified.get(text);
    if (statement === undefined) {
      statement = verified(bytes);
      this.#verified.set(text, statement);
    }
    return statement === false ? undefined : statement;
  }
}

function verified(bytes: Uint8Array): SignedStatement | false {
  try {
    return { transition: verifyTransition(bytes), bytes };
  } catch (error) {
    // What a counterparty wrote without a valid signature is treated as not written.
    if (!(error instanceof AgrinetError)) throw error;
    return false;
  }
}

/** The first of each list, then the second of each, and so on, so that a long list does not delay the others. */
export function inTurns<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, at) => lists.flatMap((list) => list.slice(at, at + 1))).flat();
}
