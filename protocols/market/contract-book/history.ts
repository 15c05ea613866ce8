import { AgrinetError } from '../../errors.ts';
import type { RecordState } from '../../open-dialog/record.ts';
import { isLive } from '../../open-dialog/record.ts';
import { base64url, fromBase64url } from '../../wire/bytes.ts';
import type { PeerId } from '../../wire/identity.ts';
import { parsePublicId, parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import { judgeAll } from '../contract/machine.ts';
import { openTransition, splitCarried } from '../contract/statement.ts';
import type { FieldHistory } from '../conversation-members.ts';
import { nodeOf } from '../party.ts';
import { type Binding, bindingOf } from './binding.ts';
import type { BookReader, Case, Known } from './types.ts';

/** Facts of each owner, and statements of each party, that are looked at: who writes more hides only its own. */
export const STATEMENTS_READ = 256;
const STATEMENTS = 128;
/** Contracts and opened statements kept in memory. */
const KEPT = 2048;
const OPENED = 16_384;

/** Contracts as they stand, judged anew after each change of their channel. */
export interface Histories {
  /** A contract of two parties, or undefined: no live one, a public one, or one whose parties cannot be told. */
  load(state: RecordState | undefined): Promise<Case | undefined>;
  changed(channel: string): void;
}

/** Whether the supplier's own listing is what a contract takes from. */
export function takesStock({ supplier, listing }: Binding): boolean {
  const supplying = nodeOf(supplier);
  return supplying !== undefined && parsePublicId(listing, supplying)?.owner === supplying;
}

export function createHistories(
  reader: BookReader,
  history: FieldHistory,
  net: string,
  self: PeerId,
): Histories {
  const cases = new Map<RecordKey, { readonly version: number; readonly held: Case }>();
  const bindings = new Map<RecordKey, Binding>();
  /** Contracts without one, as of which change. */
  const unbound = new Map<RecordKey, number>();
  const versions = new Map<string, number>();
  const opened = new Map<string, Known | undefined>();
  /** Outlives the versions that are forgotten, so that no old one comes again. */
  let changes = 0;
  let forgotten = 0;

  function remember<K, V>(map: Map<K, V>, key: K, value: V, most: number): V {
    map.delete(key);
    map.set(key, value);
    const [oldest] = map.keys();
    if (map.size > most && oldest !== undefined) map.delete(oldest);
    return value;
  }

  const versionOf = (channel: string): number => versions.get(channel) ?? forgotten;

  function open(text: string, bytes: Uint8Array): Known | undefined {
    if (opened.has(text)) return opened.get(text);
    let known: Known | undefined;
    try {
      known = { transition: openTransition(bytes), bytes };
    } catch (error) {
      // What a counterparty wrote and did not sign right is as good as not written.
      if (!(error instanceof AgrinetError)) throw error;
    }
    return remember(opened, text, known, OPENED);
  }

  /** All statements of a channel, verified, those that another node repeats first: nobody can crowd those out. */
  async function statements(channel: RecordKey): Promise<{ all: Known[]; here: Set<string> }> {
    const own: Known[] = [];
    const carried: Known[] = [];
    const itsOwn: Known[] = [];
    const here = new Set<string>();
    for (const { key, view } of await reader.factsOf('transitions', channel, STATEMENTS_READ)) {
      const text = String(view['statement'] ?? '');
      const bytes = fromBase64url(text);
      const one = bytes && open(text, bytes);
      if (one === undefined) continue;
      own.push(one);
      const owner = parseRecordKey(key)?.owner;
      try {
        for (const other of splitCarried(String(view['carried'] ?? ''))) {
          const repeated = open(base64url(other), other);
          if (repeated === undefined) continue;
          (nodeOf(repeated.transition.party) === owner ? itsOwn : carried).push(repeated);
          if (owner === self) here.add(repeated.transition.hash);
        }
      } catch (error) {
        if (!(error instanceof AgrinetError)) throw error; // it repeats nothing then
      }
    }
    const byHash = new Map<string, Known>();
    for (const one of [...carried, ...own, ...itsOwn])
      if (one.transition.contract === channel) byHash.set(one.transition.hash, one);
    return { all: [...byHash.values()], here };
  }

  /** Where the document was written over, its history is read, once for each change: so nobody can make a contract unfindable. */
  async function bound(state: RecordState, known: readonly Known[]): Promise<Binding | undefined> {
    const { key } = state;
    const kept = bindings.get(key);
    if (kept !== undefined) return remember(bindings, key, kept, OPENED);
    const statements = known.map(({ transition }) => transition);
    let binding = bindingOf(state, statements);
    const version = versionOf(key);
    if (binding === undefined && unbound.get(key) !== version) {
      const past = new Map<string, readonly unknown[]>();
      for (const field of ['listingId', 'buyerId', 'supplierId']) past.set(field, await history(key, field));
      binding = bindingOf(state, statements, past);
      if (binding === undefined) remember(unbound, key, version, OPENED);
    }
    return binding && remember(bindings, key, binding, OPENED);
  }

  return {
    async load(state) {
      if (!isLive(state) || state.channel !== state.key) return undefined;
      const version = versionOf(state.key);
      const kept = cases.get(state.key);
      if (kept?.version === version) return { ...kept.held, state };
      const { all, here } = await statements(state.key);
      const binding = await bound(state, all);
      if (binding === undefined) return undefined;
      const parties = [binding.buyer, binding.supplier] as const;
      const known = parties.flatMap((party) =>
        all.filter(({ transition }) => transition.party === party).slice(0, STATEMENTS),
      );
      const contract = {
        key: state.key,
        net,
        parties,
        supplier: binding.supplier,
        stock: takesStock(binding),
      };
      const { verdict, agreed } = judgeAll(
        contract,
        known.map(({ transition }) => transition),
      );
      const held = { state, binding, contract, known, verdict, agreed, repeated: here };
      if (versionOf(state.key) === version) remember(cases, state.key, { version, held }, KEPT);
      return held;
    },
    changed(channel) {
      changes++;
      versions.delete(channel);
      versions.set(channel, changes);
      if (versions.size <= OPENED) return;
      versions.clear();
      cases.clear();
      forgotten = ++changes;
    },
  };
}
