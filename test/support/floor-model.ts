import type { Change } from '../../protocols/open-dialog/change.ts';
import type { Floor } from '../../protocols/open-dialog/floor.ts';
import type { Scalar } from '../../protocols/open-dialog/change.ts';

/** Evaluation of a document straight from the specification: sets of hashes, everything looked for everywhere, nothing kept for later. */
export interface ModelResult {
  /** Beside the changes of each feed. */
  readonly states: readonly (readonly ('applied' | 'pending' | 'rejected')[])[];
  readonly heads: readonly string[];
  /** By field, the winner first. */
  readonly values: Readonly<Record<string, readonly (readonly [op: string, value: Scalar])[]>>;
}

type Hashed = Change & { readonly hash: string };

interface Applied {
  readonly change: Hashed;
  readonly past: ReadonlySet<string>;
}

interface Ground {
  readonly heads: readonly string[];
  readonly maxOp: number;
  readonly visible: ReadonlyMap<string, readonly [field: string, value: Scalar]>;
  readonly isGenesis: boolean;
}

export function modelOf(
  genesis: { readonly hash: string; readonly maxOp: number },
  floor: Floor | undefined,
  feeds: readonly (readonly Hashed[])[],
): ModelResult {
  const ground = groundOf(genesis, floor);
  const applied = new Map<string, Applied>();
  const states: ('applied' | 'pending' | 'rejected')[][] = feeds.map((feed) => feed.map(() => 'pending'));
  const at = feeds.map(() => 0);
  for (let goesOn = true; goesOn;) {
    goesOn = false;
    for (const [f, feed] of feeds.entries()) {
      const i = at[f] ?? 0;
      const change = feed[i];
      if (change === undefined || !hasAll(ground, applied, change)) continue;
      const past = pastOf(applied, change);
      const isRight = isValid(ground, applied, change, past);
      const row = states[f];
      if (row !== undefined) row[i] = isRight ? 'applied' : 'rejected';
      if (isRight) applied.set(change.hash, { change, past });
      at[f] = i + 1;
      goesOn = true;
    }
  }
  return { states, heads: headsOf(ground, applied), values: valuesOf(ground, applied) };
}

function groundOf(
  genesis: { readonly hash: string; readonly maxOp: number },
  floor: Floor | undefined,
): Ground {
  if (floor?.kind !== 'document')
    return { heads: [genesis.hash], maxOp: genesis.maxOp, visible: new Map(), isGenesis: true };
  const visible = new Map(
    floor.values.map(({ counter, actor, field, value }) => [`${counter}@${actor}`, [field, value] as const]),
  );
  return { heads: floor.heads, maxOp: floor.maxOp, visible, isGenesis: false };
}

function hasAll({ heads }: Ground, applied: ReadonlyMap<string, Applied>, { deps }: Hashed): boolean {
  const named = heads.filter((head) => deps.includes(head)).length;
  return (
    (named === 0 || named === heads.length) && deps.every((dep) => heads.includes(dep) || applied.has(dep))
  );
}

function pastOf(applied: ReadonlyMap<string, Applied>, { deps }: Hashed): Set<string> {
  const past = new Set<string>();
  for (const dep of deps) for (const each of [dep, ...(applied.get(dep)?.past ?? [])]) past.add(each);
  return past;
}

const lastOp = ({ startOp, ops }: Hashed): number => startOp + ops.length - 1;

function isValid(
  ground: Ground,
  applied: ReadonlyMap<string, Applied>,
  change: Hashed,
  past: ReadonlySet<string>,
): boolean {
  if (applied.has(change.hash)) return false;
  const own = [...applied.values()].filter((each) => each.change.actor === change.actor);
  const last = own.at(-1)?.change;
  if (last === undefined && ground.isGenesis && change.seq !== 1) return false;
  if (last !== undefined && (change.seq !== last.seq + 1 || !past.has(last.hash))) return false;
  const counters = change.deps.map((dep) => {
    const known = applied.get(dep);
    return known === undefined ? ground.maxOp : lastOp(known.change);
  });
  if (change.startOp !== Math.max(...counters) + 1) return false;
  const seen = [...applied.values()].filter((each) => past.has(each.change.hash)).map((each) => each.change);
  const replacedBySeen = new Set(seen.flatMap(({ ops }) => ops.flatMap(({ pred }) => pred.map(idText))));
  return change.ops.every(({ action, field, pred }) => {
    if (action === 'del' && pred.length === 0) return false;
    const named = pred.map(idText);
    if (!named.every((id) => ground.visible.get(id)?.[0] === field || isSet(seen, id, field))) return false;
    const mine = ownNewest(
      ground,
      own.map((each) => each.change),
      change.actor,
      field,
    );
    return mine === undefined || named.includes(mine) || replacedBySeen.has(mine);
  });
}

function ownNewest(
  { visible }: Ground,
  own: readonly Hashed[],
  actor: string,
  field: string,
): string | undefined {
  for (const { ops, startOp } of own.toReversed()) {
    const at = ops.findIndex((op) => op.field === field && op.action === 'set');
    if (at >= 0) return `${startOp + at}@${actor}`;
  }
  return [...visible].find(([id, [of]]) => of === field && id.endsWith(`@${actor}`))?.[0];
}

const idText = ({ counter, actor }: { counter: number; actor: string }): string => `${counter}@${actor}`;

function isSet(changes: readonly Hashed[], id: string, field: string): boolean {
  return setsOf(changes).some((set) => set.id === id && set.field === field);
}

function setsOf(changes: readonly Hashed[]): { id: string; field: string; value: Scalar }[] {
  return changes.flatMap(({ ops, startOp, actor }) =>
    ops.flatMap(({ action, field, value }, i) =>
      action === 'set' ? [{ id: `${startOp + i}@${actor}`, field, value: value ?? null }] : [],
    ),
  );
}

function headsOf({ heads }: Ground, applied: ReadonlyMap<string, Applied>): string[] {
  const followed = new Set([...applied.values()].flatMap(({ change }) => change.deps));
  return [...heads, ...applied.keys()].filter((hash) => !followed.has(hash)).sort();
}

function valuesOf({ visible }: Ground, applied: ReadonlyMap<string, Applied>): ModelResult['values'] {
  const changes = [...applied.values()].map(({ change }) => change);
  const replaced = new Set(changes.flatMap(({ ops }) => ops.flatMap(({ pred }) => pred.map(idText))));
  const values: Record<string, [string, Scalar][]> = {};
  const all = [...visible].map(([id, [field, value]]) => ({ id, field, value }));
  for (const { id, field, value } of [...all, ...setsOf(changes)])
    if (!replaced.has(id)) (values[field] ??= []).push([id, value]);
  for (const some of Object.values(values)) some.sort(([a], [b]) => winnerFirst(a, b));
  return values;
}

function winnerFirst(a: string, b: string): number {
  const [x = '', p = ''] = a.split('@');
  const [y = '', q = ''] = b.split('@');
  return Number(y) - Number(x) || (p < q ? 1 : -1);
}
