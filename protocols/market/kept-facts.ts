import { Lazy } from '../lazy.ts';
import type { RecordChange } from '../ledger/ports.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';

/**
 * What is kept of each fact of a collection, in groups: all are read at the first question, and every commit keeps them from then on. For
 * collections that are asked by what no index has.
 */
export class KeptFacts<T> {
  readonly #collection: string;
  readonly #all: () => AsyncGenerator<RecordState>;
  readonly #read: (state: RecordState) => T | undefined;
  readonly #groupsOf: (kept: T) => readonly string[];
  readonly #kept = new Map<RecordKey, T>();
  readonly #groups = new Map<string, Map<RecordKey, T>>();
  /** Facts that came or went during the first reading, whose rows may be older. */
  readonly #changed = new Set<RecordKey>();
  readonly #reading = new Lazy(() => this.#readAll());
  #isRead = false;

  /** `read` says what is kept of a live fact, undefined for one that is left out; it must not throw. */
  constructor(parts: {
    readonly collection: string;
    readonly all: () => AsyncGenerator<RecordState>;
    readonly read: (state: RecordState) => T | undefined;
    readonly groupsOf: (kept: T) => readonly string[];
  }) {
    this.#collection = parts.collection;
    this.#all = parts.all;
    this.#read = parts.read;
    this.#groupsOf = parts.groupsOf;
  }

  /** A group, by the key of each fact. */
  async of(group: string): Promise<ReadonlyMap<RecordKey, T>> {
    await this.#reading.get();
    return this.#groups.get(group) ?? new Map<RecordKey, T>();
  }

  /** To be told of each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'after'>[]): void {
    if (!this.#reading.isAsked) return;
    for (const { key, after } of changes) {
      if (!key.startsWith(`${this.#collection}/`)) continue;
      if (!this.#isRead) this.#changed.add(key);
      this.#put(after);
    }
  }

  clear(): void {
    this.#reading.clear();
    this.#isRead = false;
    this.#changed.clear();
    this.#kept.clear();
    this.#groups.clear();
  }

  async #readAll(): Promise<void> {
    for await (const state of this.#all()) if (!this.#changed.has(state.key)) this.#put(state);
    this.#changed.clear();
    this.#isRead = true;
  }

  #put(state: RecordState): void {
    const { key } = state;
    this.#delete(key);
    const kept = isLive(state) ? this.#read(state) : undefined;
    if (kept === undefined) return;
    this.#kept.set(key, kept);
    for (const group of this.#groupsOf(kept)) {
      const facts = this.#groups.get(group) ?? new Map<RecordKey, T>();
      this.#groups.set(group, facts.set(key, kept));
    }
  }

  #delete(key: RecordKey): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    for (const group of this.#groupsOf(kept)) {
      const facts = this.#groups.get(group);
      facts?.delete(key);
      if (facts?.size === 0) this.#groups.delete(group);
    }
  }
}
