import type { Committed } from '../protocols/ledger/types.ts';
import type { PullEvent } from '../protocols/mycelium/pull-event.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { RegisteredNode } from '../protocols/registry/registry.ts';
import type { AnyAlarm } from './alarms.ts';

/** Something that happens in one part of a node and concerns others, whom that part does not know. */
export interface Hook<T> {
  /**
   * Calls `listener` for each event, after those that were added before; `name` identifies it in the log and in an alarm when it
   * fails.
   */
  readonly on: (name: string, listener: (what: T) => unknown) => void;
  /** Never throws, and waits for nobody: an event is not undone by its listeners, and no listener is affected by another. */
  readonly emit: (what: T) => void;
  /** As `emit`, and resolves when all listeners are done; then rejects with the first failure, if any. */
  readonly emitAndWait: (what: T) => Promise<void>;
}

/** Only to listen. */
export type Listen<T> = Pick<Hook<T>, 'on'>;
/** Only to emit. */
export type Emit<T> = Pick<Hook<T>, 'emit'>;

/** A component that listens to these hooks and emits none. */
export interface Listens<Name extends keyof Omit<Hooks, 'failures'>> {
  readonly hooks: { readonly [Each in Name]: Pick<Hooks[Each], 'on'> };
}

export type GossipVerdict = 'accept' | 'ignore' | 'reject';

/** All events between parts of a node that do not know each other. */
export interface Hooks {
  /** A commit was written, in the order of commits. */
  readonly committed: Hook<Committed>;
  /** The database was reopened: parts that keep something of it in memory read it again. */
  readonly reopened: Hook<void>;
  /** Stored records were derived again: parts that keep something of them in memory update it from these. */
  readonly repaired: Hook<readonly RecordState[]>;
  /** Writing has resumed after it was refused. */
  readonly recovered: Hook<void>;
  /** How an exchange with a peer went. */
  readonly pulled: Hook<PullEvent>;
  /** The outcome for a received gossip message, or that one was published. */
  readonly gossiped: Hook<GossipVerdict | 'published'>;
  /** How long an evaluation of a whole record by Automerge took, milliseconds. */
  readonly merged: Hook<number>;
  /** The registration of a node changed. */
  readonly registered: Hook<RegisteredNode>;
  /** An alarm was raised, however often the same one was before. */
  readonly alarmed: Hook<AnyAlarm>;
  /** A listener, by its name, threw or rejected. Its own listeners must not. */
  readonly failed: Hook<string>;
  /** How often each listener has failed since the start. */
  readonly failures: ReadonlyMap<string, number>;
}

/** `onFailure` is called with the listener that threw, or rejected later. */
export function createHook<T>(onFailure: (listener: string, error: unknown) => void): Hook<T> {
  const listeners: { readonly name: string; readonly listener: (what: T) => unknown }[] = [];
  /** Calls one of them; rejects when it fails, after that was reported. */
  async function call(name: string, listener: (what: T) => unknown, what: T): Promise<void> {
    try {
      await listener(what);
    } catch (error) {
      onFailure(name, error);
      throw error;
    }
  }
  return {
    on: (name, listener) => void listeners.push({ name, listener }),
    emit(what) {
      for (const { name, listener } of listeners) {
        try {
          const done = listener(what);
          if (done instanceof Promise) done.catch((error: unknown) => onFailure(name, error));
        } catch (error) {
          onFailure(name, error);
        }
      }
    },
    async emitAndWait(what) {
      const done = await Promise.allSettled(
        listeners.map(({ name, listener }) => call(name, listener, what)),
      );
      for (const each of done) if (each.status === 'rejected') throw each.reason;
    },
  };
}

/** The hooks of one node. A listener that fails is logged, counted, and reported by `failed`. */
export function createHooks(log: (fields: Record<string, unknown>, message: string) => void): Hooks {
  const failures = new Map<string, number>();
  const note = (listener: string, error: unknown): void => {
    failures.set(listener, (failures.get(listener) ?? 0) + 1);
    log({ listener, err: error }, 'a listener failed');
  };
  const failed = createHook<string>(note);
  const onFailure = (listener: string, error: unknown): void => {
    note(listener, error);
    failed.emit(listener);
  };
  return {
    committed: createHook(onFailure),
    reopened: createHook(onFailure),
    repaired: createHook(onFailure),
    recovered: createHook(onFailure),
    pulled: createHook(onFailure),
    gossiped: createHook(onFailure),
    merged: createHook(onFailure),
    registered: createHook(onFailure),
    alarmed: createHook(note), // a failure raises an alarm itself
    failed,
    failures,
  };
}
