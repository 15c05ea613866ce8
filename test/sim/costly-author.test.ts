import { expect, test } from 'vitest';
import { draftFact } from '../../protocols/ledger/drafts.ts';
import { Hand, listingOps, openLedger, randomFrom, someIdentity } from '../support/forge.ts';
import { tempDir } from '../support/temp-dir.ts';

const seed = Number(process.env['SEED'] ?? 1);
const OPS = 3000;
/** Above what the ledger lets an author owe. */
const ATTACK_MS = 25_000;
/** Of the ledger's clocks: what would take 25 s of this thread takes five. */
const SPEED = 5;

test(
  'an author whose record is ever dearer to evaluate is put off, and local writes go on',
  { timeout: 180_000 },
  async () => {
    const random = randomFrom(seed);
    const folder = tempDir('costly');
    // Debts run off by the clock: both clocks go by what this thread works, so that the load of the machine decides nothing.
    const [began, used] = [Date.now(), process.threadCpuUsage()];
    const cpu = (): number => {
      const { user, system } = process.threadCpuUsage(used);
      return (SPEED * (user + system)) / 1000;
    };
    const now = (): number => began + Math.floor(cpu());
    const held = await openLedger(folder.path, someIdentity(random), now, { monotonic: now, cpu });
    const { ledger, followStates: standing } = held;
    try {
      const hand = new Hand(someIdentity(random), random.hex(8));
      standing.set(hand.identity.peerId, 'followed');
      const create = listingOps(hand.pen, 'a', undefined, { title: 'dear' });
      await ledger.receive([hand.next(create).bytes]);
      // the same change again is rejected only when the whole record is looked at
      while (hand.seq < OPS) await ledger.receive(Array.from({ length: 500 }, () => hand.next(create).bytes));
      const outcomes: string[] = [];
      const started = now();
      while (!outcomes.includes('author-too-costly') && now() - started < 4 * ATTACK_MS) {
        const [result] = await ledger.receive([hand.next(create).bytes]);
        outcomes.push(result?.code ?? result?.kind ?? '');
      }
      const spent = now() - started;
      expect(outcomes.at(-1), `SEED=${seed}`).toBe('author-too-costly');
      const writing = performance.now();
      const attack = ledger.receive(Array.from({ length: 100 }, () => hand.sign(create).bytes));
      await ledger.write({
        keys: [],
        draft: (pen) => [
          draftFact(pen, 'prices', {
            date: '2026-01-01',
            market: 'A',
            commodity: 'Maize',
            unit: 'kg',
            currency: 'KES',
            price: 1,
            priceType: 'Retail',
          }),
        ],
      });
      const waited = performance.now() - writing;
      await attack;
      console.log(
        `${outcomes.length} dear entries and ${spent} ms of its clock until put off; a local write then took ${waited.toFixed(0)} ms`,
      );
      expect(waited).toBeLessThan(1000 / SPEED);
    } finally {
      await held.close();
      folder.remove();
    }
  },
);
