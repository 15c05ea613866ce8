import { runCampaign } from '../support/campaign.ts';
import { decodeEntry } from '../../protocols/feed/entry.ts';
import type { Received } from '../../protocols/ledger/types.ts';
import { randomFrom, listingOps, priceOps } from '../support/forge.ts';
import { tempDir } from '../support/temp-dir.ts';
import { FORGERIES, type Forgery, setTheStage, type Stage } from './forgeries.ts';

/** What a campaign of forgeries found. */
export interface ForgeryReport {
  readonly seed: number;
  readonly each: number;
  /** How often each outcome was seen, by class. */
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Everything that went otherwise than it should. */
  readonly faults: readonly string[];
}

const BATCH = 100;

/**
 * Throws `each` forgeries of every class at a ledger on disk: none may have an effect, each is refused, or its op rejected, with a code
 * of its own, and the digest stays what it was. At the end a feed full of rejected ops takes an honest op as if nothing had been.
 */
export async function forge(
  each: number,
  seed: number,
  onDone: (share: number) => void = () => undefined,
): Promise<ForgeryReport> {
  const folder = tempDir('forgery');
  const stage = await setTheStage(folder.path, randomFrom(seed));
  const faults: string[] = [];
  const outcomes: Record<string, Record<string, number>> = {};
  try {
    for (const [name, make] of Object.entries(FORGERIES)) {
      const before = stage.test.digest();
      const counts: Record<string, number> = {};
      for (let done = 0; done < each; done += BATCH) {
        const size = Math.min(BATCH, each - done);
        const forgeries = Array.from({ length: size }, () => make(stage));
        await judgeBatch(stage, forgeries, counts, (fault) => faults.push(`${name}: ${fault}`));
      }
      if (stage.test.digest() !== before) faults.push(`${name}: the digest has changed`);
      outcomes[name] = counts;
      onDone(each / Object.keys(FORGERIES).length);
    }
    await rejectedStopsNothing(stage, faults);
    for (const alarm of stage.test.alarms) faults.push(`alarm: ${JSON.stringify(alarm)}`);
  } finally {
    await stage.test.close();
    folder.remove();
  }
  return { seed, each, outcomes, faults };
}

async function judgeBatch(
  { test }: Stage,
  forgeries: readonly Forgery[],
  counts: Record<string, number>,
  fault: (text: string) => void,
): Promise<void> {
  // Each for itself: behind one that is rejected nothing is looked at.
  const results = (await Promise.all(forgeries.map(({ bytes }) => test.ledger.receive([bytes])))).flat();
  const verdicts = new Map(
    test.verdicts().map(({ ref, verdict }) => [`${ref.author}|${ref.epoch}|${ref.seq}`, verdict]),
  );
  results.forEach((result, i) => {
    const forgery = forgeries[i];
    if (forgery === undefined) return;
    let outcome = outcomeOf(result);
    if (!forgery.expect.includes(outcome)) fault(`${outcome} instead of ${forgery.expect.join(' or ')}`);
    if (result.kind === 'accept' && result.entry !== undefined) {
      const { author, header } = result.entry;
      const verdict = verdicts.get(`${author}|${header.epoch}|${header.seq}`);
      const told = verdict === undefined ? 'no verdict' : JSON.stringify(verdict);
      if (verdict?.state !== 'rejected' || verdict.code !== forgery.rejectedWith)
        fault(`${told} instead of rejected with ${forgery.rejectedWith ?? ''}`);
      outcome = verdict?.state === 'rejected' ? `rejected:${verdict.code}` : told;
    }
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  });
}

function outcomeOf({ kind, code }: Received): string {
  return code === undefined ? kind : `${kind}:${code}`;
}

/** One entry with a rejected op of every class between two honest ones, and one more after it. */
async function rejectedStopsNothing(stage: Stage, faults: string[]): Promise<void> {
  const { attacker, test } = stage;
  const rejectable = Object.values(FORGERIES).flatMap((make) => {
    const { seq, hash } = attacker;
    const forgery = make(stage);
    // only the op is wanted: the entry it was signed into is not sent, so its place is free again
    attacker.seq = seq;
    attacker.hash = hash;
    return forgery.rejectedWith === undefined ? [] : opsOf(forgery.bytes);
  });
  const honest = listingOps(attacker.pen, 'honest', undefined, { title: 'honest' });
  const mixed = attacker.next([...honest, ...rejectable, ...priceOps(attacker.pen, 'Honest', 1)]);
  const after = attacker.next(priceOps(attacker.pen, 'After', 2));
  test.verdicts();
  const results = await test.ledger.receive([mixed.bytes, after.bytes]);
  if (results.some(({ kind }) => kind !== 'accept')) faults.push('an entry with rejected ops was not taken');
  // the full replay evaluates whole records anew: only what these two entries brought is looked at
  const verdicts = test
    .verdicts()
    .filter(({ ref }) => ref.epoch === attacker.epoch && ref.seq >= mixed.header.seq);
  const counting = verdicts.filter(({ verdict }) => verdict.state === 'applied').length;
  const rejected = verdicts.filter(({ verdict }) => verdict.state === 'rejected').length;
  if (counting !== 3 || rejected !== rejectable.length)
    faults.push(
      `beside ${rejected} rejected ops (of ${rejectable.length}) ${counting} of 3 honest ones count`,
    );
}

function opsOf(bytes: Uint8Array): Uint8Array[] {
  return decodeEntry(bytes).body.flatMap((item) => ('op' in item ? [item.op] : []));
}

if (import.meta.main)
  await runCampaign('forgery', 10_000, async ({ count, seed, onDone }) => {
    const { faults, outcomes } = await forge(count, seed, onDone);
    if (faults.length > 0) throw new Error(faults.slice(0, 20).join('\n'));
    return outcomes;
  });
