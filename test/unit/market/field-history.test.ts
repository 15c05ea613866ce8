import { expect, it } from 'vitest';
import { fieldHistory } from '../../../daemon/market/field-history.ts';
import type { PlacedOp } from '../../../protocols/open-dialog/record.ts';
import { ChangeHand } from '../../support/change-hand.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

it('of a long history each value of a field is told once, and one op is held at a time', async () => {
  const author = nodeOf(1).peerId;
  const epoch = '0'.repeat(16);
  const hand = new ChangeHand({ author, epoch }, 'listings', 'maize');
  let asked = 0;
  const opsOf = async function* (): AsyncGenerator<PlacedOp> {
    for (; asked < 1000; asked++) {
      const begins = asked === 0 ? { type: 'offer', status: 'active' } : {};
      const bytes = hand.set({ ...begins, title: asked % 3 === 0 ? 'Maize' : 'Beans', price: asked });
      yield { author, channel: 'public', epoch, seq: asked + 1, index: 0, bytes, time: [0, 0] };
    }
  };
  expect(await fieldHistory({ opsOf })(hand.key, 'title')).toEqual(['Maize', 'Beans']);
  expect(asked).toBe(1000);
});
