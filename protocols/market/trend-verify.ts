import { type Json, parsedJson } from '../wire/json.ts';
import {
  byOwner,
  type HeldPrice,
  lastDay,
  makeSnapshot,
  ownerInputs,
  type OwnerInputs,
  type RegionCount,
  type Snapshot,
  SNAPSHOT_LIMITS,
} from './trend-snapshot.ts';

/** How one owner's prices held here relate to those that a snapshot was made from. */
export interface OwnerComparison {
  readonly owner: string;
  /** Prices the snapshot was made from, and those held here. */
  readonly named: number;
  readonly held: number;
  /** `lacking`: fewer are held here. `differs`: enough are held, but others. */
  readonly state: 'lacking' | 'differs';
}

export interface SnapshotVerdict {
  /**
   * `verified`: computed again from the same prices, byte for byte. `differs`: the same prices give something else. `other-inputs`:
   * this node does not hold the prices it was made from, so nothing can be said. `malformed`: not a snapshot.
   */
  readonly verdict: 'verified' | 'differs' | 'other-inputs' | 'malformed';
  readonly detail: string;
  /** Where the body, or a field of the fact, differs. */
  readonly differs: readonly string[];
  /** Owners whose prices are missing or differ here. */
  readonly owners: readonly OwnerComparison[];
  /** Prices the snapshot was made from that are not held here, at least. */
  readonly lacking: number;
  /** Prices held here that it was not made from: later ones, or of owners it leaves out. */
  readonly beyond: number;
}

/** What a verifier takes from a body; everything else is computed. */
interface Claims {
  readonly prices: number;
  readonly owners: readonly OwnerInputs[];
  readonly transactions: readonly RegionCount[];
}

/** Differences named. */
const SHOWN = 20;

/**
 * Computes a snapshot again from what is held here. Prices that arrived since do not matter: of each owner the first so many, in its
 * own order, are taken. Counts of transactions cannot be verified, except that no small group is published.
 */
export function verifySnapshot(snapshot: Snapshot, all: readonly HeldPrice[]): SnapshotVerdict {
  const claims = readClaims(snapshot.body);
  const none = { differs: [], owners: [], lacking: 0, beyond: 0 };
  if (claims === undefined || !Number.isSafeInteger(snapshot.publishedAt) || snapshot.publishedAt > MOST_MS)
    return { ...none, verdict: 'malformed', detail: 'its body is not that of a snapshot of version 1' };
  const until = lastDay(snapshot.publishedAt);
  const held = byOwner(all.filter(({ date }) => date <= until));
  const holds = [...held.values()].reduce((sum, prices) => sum + prices.length, 0);
  const owners: OwnerComparison[] = [];
  const agreed: HeldPrice[][] = [];
  for (const named of claims.owners) {
    const own = held.get(named.owner) ?? [];
    const first = own.slice(0, named.prices);
    if (ownerInputs(named.owner, first).digest === named.digest) agreed.push(first);
    else
      owners.push({
        owner: named.owner,
        named: named.prices,
        held: own.length,
        state: own.length < named.prices ? 'lacking' : 'differs',
      });
  }
  // With too many owners only the whole is digested: then it must be exactly what is held here.
  const used = (claims.owners.length === 0 ? [...held.values()] : agreed).flat();
  const beyond = holds - used.length;
  const lacking =
    claims.owners.length === 0
      ? Math.max(0, claims.prices - holds)
      : owners.reduce((sum, { named, held: here }) => sum + Math.max(0, named - here), 0);
  const again = makeSnapshot(used, { ...snapshot, transactions: claims.transactions });
  const sameInputs = owners.length === 0 && (claims.owners.length > 0 || again.inputs === snapshot.inputs);
  if (!sameInputs) {
    const detail = `made from ${claims.prices} prices; this node ${lacking > 0 ? `lacks ${lacking} of them` : 'holds others'}`;
    return { verdict: 'other-inputs', detail, differs: [], owners, lacking, beyond };
  }
  const differs = differences(snapshot, again);
  if (differs.length > 0) {
    const detail = `the same ${used.length} prices give another report: ${differs.slice(0, 3).join(', ')}`;
    return { verdict: 'differs', detail, differs, owners, lacking, beyond };
  }
  const more = beyond === 0 ? '' : `; ${beyond} prices held here are not in it`;
  return {
    verdict: 'verified',
    detail: `recomputed from ${used.length} prices, byte for byte${more}`,
    differs: [],
    owners,
    lacking,
    beyond,
  };
}

/** A time that JavaScript can write as a date of four digits. */
const MOST_MS = Date.UTC(9999, 0, 1);

function readClaims(body: string): Claims | undefined {
  if (body.length > SNAPSHOT_LIMITS.body) return undefined;
  const top = fieldsOf(parsedJson(body) as Json | undefined); // what JSON.parse returns is JSON
  const inputs = fieldsOf(top?.['inputs']);
  if (top?.['v'] !== 1 || inputs === undefined) return undefined;
  const prices = countOf(inputs['prices']);
  const owners = listOf(inputs['owners'], SNAPSHOT_LIMITS.owners, (item) => {
    const [owner, digest, named] = [item['owner'], item['digest'], countOf(item['prices'])];
    return typeof owner === 'string' && typeof digest === 'string' && named !== undefined
      ? { owner, digest, prices: named }
      : undefined;
  });
  const transactions = listOf(top['transactions'], SNAPSHOT_LIMITS.regions, (item) => {
    const [region, count] = [item['region'], countOf(item['count'])];
    return typeof region === 'string' && count !== undefined ? { region, count } : undefined;
  });
  if (prices === undefined || owners === undefined || transactions === undefined) return undefined;
  // Twice the same owner would count its prices twice.
  if (new Set(owners.map(({ owner }) => owner)).size < owners.length) return undefined;
  return { prices, owners, transactions };
}

function fieldsOf(value: Json | undefined): { readonly [name: string]: Json } | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
}

function countOf(value: Json | undefined): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function listOf<T>(
  value: Json | undefined,
  most: number,
  read: (item: { readonly [name: string]: Json }) => T | undefined,
): T[] | undefined {
  if (!Array.isArray(value) || value.length > most) return undefined;
  const items = value.map((item) => read(fieldsOf(item) ?? {}));
  return items.every((item) => item !== undefined) ? items : undefined;
}

function differences(given: Snapshot, again: Snapshot): string[] {
  const found: string[] = [];
  if (given.inputs !== again.inputs) found.push('inputs');
  if (given.asOf !== again.asOf) found.push('asOf');
  if (given.body === again.body) return found;
  const paths = [...pathsThatDiffer(JSON.parse(given.body) as Json, JSON.parse(again.body) as Json, 'body')];
  return [...found, ...(paths.length === 0 ? ['body (not canonical JSON)'] : paths)].slice(0, SHOWN);
}

/** Goes as deep as the second value, which is our own. */
function* pathsThatDiffer(given: Json | undefined, own: Json | undefined, path: string): Generator<string> {
  if (given === own) return;
  const [a, b] = [given, own].map((each) => (typeof each === 'object' && each !== null ? each : undefined));
  if (a === undefined || b === undefined || Array.isArray(a) !== Array.isArray(b)) {
    yield path;
    return;
  }
  const [ours, theirs] = [new Map(Object.entries(b)), new Map(Object.entries(a))];
  for (const [name, value] of ours) yield* pathsThatDiffer(theirs.get(name), value, `${path}.${name}`);
  for (const name of theirs.keys()) if (!ours.has(name)) yield `${path}.${name.slice(0, 40)}`;
}
