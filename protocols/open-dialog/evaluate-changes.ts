import type { RecordKey } from '../wire/ids.ts';
import { APPLIED } from './fast-path.ts';
import { History, type ReadChange } from './history.ts';
import type { PlacedOp, Verdict } from './record.ts';
import { collectionOf } from './schema.ts';
import type { StateBuilder } from './state-builder.ts';
import { writerProblem } from './writer-rule.ts';

/**
 * Applies the changes of a record, whatever the order of its feeds, and gives each its verdict. Each feed goes on until a change of it
 * depends on one that has not been applied; it goes on again when that is.
 */
export function* evaluateChanges(
  key: RecordKey,
  ops: readonly PlacedOp[],
  feeds: ReadonlyMap<string, readonly ReadChange[]>,
  verdicts: Verdict[],
  result: StateBuilder,
): Generator<void, History> {
  const collection = collectionOf(key);
  const { members } = result;
  const history = new History(collection);
  const next = new Map<string, number>();
  /** Feeds by the change, or the private record, that they miss. */
  const blocked = new Map<string, string[]>();

  function* evaluateOne(read: ReadChange, placed: PlacedOp): Generator<void, Verdict> {
    const isPublic = placed.channel === 'public';
    const code =
      isPublic || collection === undefined
        ? undefined
        : writerProblem(collection, members, placed.author, read.change);
    const ancestry = code ?? (yield* history.check(read.change));
    if (typeof ancestry === 'string') return { state: 'rejected', code: ancestry };
    history.apply(read, ancestry);
    result.apply(placed, isPublic ? { exists: true } : {});
    return APPLIED;
  }

  const todo = [...feeds.keys()];
  for (let feed = todo.pop(); feed !== undefined; feed = todo.pop()) {
    const list = feeds.get(feed) ?? [];
    for (let i = next.get(feed) ?? 0; ; i++) {
      yield;
      next.set(feed, i);
      const read = list[i];
      const placed = read && ops[read.at];
      if (read === undefined || placed === undefined) break;
      const missing =
        placed.channel !== 'public' && members === undefined ? key : history.missingDependency(read.change);
      if (missing !== undefined) {
        const others = blocked.get(missing);
        if (others === undefined) blocked.set(missing, [feed]);
        else others.push(feed);
        break;
      }
      const verdict = yield* evaluateOne(read, placed);
      verdicts[read.at] = verdict;
      if (verdict.state !== 'applied') continue;
      for (const waiting of blocked.get(read.change.hash) ?? []) todo.push(waiting);
      blocked.delete(read.change.hash);
    }
  }
  // Said once, of what is pending in the end: a feed may have waited at each of its changes for one of another.
  for (const [missing, pending] of blocked)
    for (const feed of pending)
      yield* leavePending(feeds.get(feed) ?? [], next.get(feed) ?? 0, missing, verdicts);
  return history;
}

/** What a feed holds from its first pending change on is pending with it. */
function* leavePending(
  list: readonly ReadChange[],
  from: number,
  missing: string,
  verdicts: Verdict[],
): Generator<void, void> {
  const first = list[from];
  for (let i = from; i < list.length; i++) {
    const read = list[i];
    if (read === undefined || first === undefined) continue;
    verdicts[read.at] = {
      state: 'pending',
      code: 'dependency-missing',
      missing: i === from ? missing : first.change.hash,
    };
    yield;
  }
}
