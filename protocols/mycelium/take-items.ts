import { AgrinetError, errorCode } from '../errors.ts';
import { readErasure } from '../feed/erasure.ts';
import { readForkProof } from '../feed/fork.ts';
import type { FeedName, Ledger } from '../ledger/types.ts';
import { isSendersFault } from '../error-codes.ts';
import type { CpuTurn } from '../wire/cpu-turn.ts';
import type { RangeItem } from './range-item.ts';

/** Codes of a node that cannot write now: what was sent was good, and comes again. */
export const CANNOT_WRITE: ReadonlySet<string> = new Set(['disk-full', 'storage-failed', 'database-damaged']);

/** The outcome for the items of one answer. */
export interface TakenItems {
  /** Entries that are new here. */
  accepted: number;
  /** Entries that were held already, or that prove a fork. */
  known: number;
  /** What was not admitted without anybody's fault. */
  ignored: number;
  /** Codes of what was ignored, by how often. */
  reasons: Record<string, number>;
}

export interface TakeOptions {
  readonly turn: Pick<CpuTurn, 'pause'>;
  /** Called for each item that was not taken, with the reason. */
  readonly onRefused?: (code: string) => void;
}

/**
 * Admits what a peer has answered, over whatever transport: proofs and erasures first, then the entries in one commit. Items that
 * the request did not ask for are refused. Throws `peer-sent-invalid` for what no honest node can have sent, and `disk-full`,
 * `storage-failed` or `database-damaged` when this node cannot write.
 */
export async function takeItems(
  ledger: Pick<Ledger, 'receive' | 'receiveProof' | 'receiveErasure'>,
  from: string,
  asked: FeedName,
  items: readonly RangeItem[],
  { turn, onRefused = () => undefined }: TakeOptions,
): Promise<TakenItems> {
  const taken: TakenItems = { accepted: 0, known: 0, ignored: 0, reasons: {} };
  const ignore = (code: string): void => {
    taken.ignored++;
    taken.reasons[code] = (taken.reasons[code] ?? 0) + 1;
  };
  for (const item of items) {
    if (item.kind === 'entry') continue;
    await turn.pause();
    const code = await takeStatement(ledger, from, asked, item);
    if (code === undefined) continue;
    onRefused(code);
    if (isSendersFault(code)) throw invalid(from, code);
    ignore(code);
  }
  const entries = items.flatMap((item) => (item.kind === 'entry' ? [item.read ?? item.bytes] : []));
  for (const { kind, code } of await ledger.receive(entries, asked, from)) {
    if (kind === 'ignore' || kind === 'reject') onRefused(code ?? 'unknown');
    if (kind === 'reject') throw invalid(from, code ?? 'unknown');
    if (code !== undefined && CANNOT_WRITE.has(code))
      throw new AgrinetError(code, 'this node cannot write now; what is missing comes with the next sync');
    if (kind === 'accept') taken.accepted++;
    else if (kind === 'known' || kind === 'fork') taken.known++;
    else ignore(code ?? kind);
  }
  return taken;
}

/** Admits a proof or an erasure; returns the code if it was not. Throws errors of this node itself. */
async function takeStatement(
  ledger: Pick<Ledger, 'receiveProof' | 'receiveErasure'>,
  from: string,
  asked: FeedName,
  { kind, bytes }: RangeItem,
): Promise<string | undefined> {
  try {
    const { author, channel } = kind === 'erasure' ? readErasure(bytes) : readForkProof(bytes);
    if (author !== asked.author || channel !== asked.channel) return 'not-asked-for';
    if (kind === 'erasure') await ledger.receiveErasure(bytes, from);
    // Accepted tomorrow: the frontiers continue to differ until then.
    else if ((await ledger.receiveProof(bytes, from)) === 'exceeded') return 'forks-exceeded';
    return undefined;
  } catch (error) {
    const code = errorCode(error);
    if (isSendersFault(code)) return code;
    throw error;
  }
}

function invalid(from: string, code: string): AgrinetError {
  return new AgrinetError('peer-sent-invalid', `${from} sent what is refused with ${code}`);
}
