import { expect, test } from 'vitest';
import { FairQueue } from '../../../protocols/ledger/fair-queue.ts';
import { SLICE_MS } from '../../../protocols/ledger/turn.ts';

interface Item {
  readonly author: string;
  left: number;
}

/** Serves what is queued until nothing is left; each serving costs `cost` of an item. The authors in the order of service. */
function serve(queue: FairQueue<Item>, cost: (item: Item) => number): string[] {
  const served: string[] = [];
  for (let item = queue.next(([first]) => first); item !== undefined; item = queue.next(([first]) => first)) {
    served.push(item.author);
    const ms = Math.min(cost(item), item.left);
    item.left -= ms;
    queue.charge(item.author, ms);
    if (item.left <= 0) queue.remove(item);
  }
  return served;
}

test('an author with a backlog has one slice in a round, and whoever comes later waits for one at most', () => {
  const queue = new FairQueue<Item>();
  for (let i = 0; i < 100; i++) queue.add({ author: 'flood', left: SLICE_MS });
  for (const author of ['a', 'b']) queue.add({ author, left: SLICE_MS });
  const served = serve(queue, () => SLICE_MS);
  expect(served.slice(0, 4)).toEqual(expect.arrayContaining(['flood', 'a', 'b']));
  expect(served.slice(4).every((author) => author === 'flood')).toBe(true);
});

test('who overdraws its slice is passed over until it is made up', () => {
  const queue = new FairQueue<Item>();
  queue.add({ author: 'dear', left: 100 * SLICE_MS });
  queue.add({ author: 'cheap', left: 30 * SLICE_MS });
  const served = serve(queue, ({ author }) => (author === 'dear' ? 10 * SLICE_MS : SLICE_MS));
  const first = served.slice(0, 20);
  expect(first.filter((author) => author === 'dear').length).toBeLessThanOrEqual(3);
  expect(served.filter((author) => author === 'dear')).toHaveLength(10);
});

test('an author that cannot go on now holds nobody up and loses no turn', () => {
  const queue = new FairQueue<Item>();
  const waiting = { author: 'waiting', left: 1 };
  queue.add(waiting);
  queue.add({ author: 'other', left: 1 });
  const but = (items: readonly Item[]): Item | undefined => items.find((item) => item !== waiting);
  expect(queue.next(but)?.author).toBe('other');
  expect(queue.next(([first]) => first)).toBe(waiting);
  expect(queue.next(() => undefined)).toBeUndefined();
});
