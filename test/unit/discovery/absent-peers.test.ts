import { describe, expect, it } from 'vitest';
import { apply, emptyState, SUPERVISOR_LIMITS } from '../../../protocols/discovery/supervisor-core.ts';
import { decide } from '../../../protocols/discovery/supervisor-decisions.ts';
import { seededRandom } from '../../support/random.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const TICK = 200;
/** What only has to pass goes by in larger steps. */
const LONG_TICK = 2000;

/** A node with many registered peers that are absent, in a time of its own; a dial fails after `dialMs`. */
class Absence {
  readonly state = emptyState('self', 4);
  readonly dials: { key: string; at: number }[] = [];
  readonly present = new Set<string>();
  now = 0;
  readonly #dialMs: (key: string) => number;
  readonly #underWay = new Map<string, number>();
  readonly #random = seededRandom(12);

  constructor(peers: number, dialMs: (key: string) => number = () => 0) {
    this.#dialMs = dialMs;
    this.#on({ type: 'registered', peerIds: Array.from({ length: peers }, (_, n) => `peer-${n}`) });
  }

  #on(event: Parameters<typeof apply>[1]): void {
    apply(this.state, event, this.now, this.#random);
  }

  run(ms: number, tick = TICK): void {
    for (const end = this.now + ms; this.now < end; this.now += tick) {
      for (const [key, at] of this.#underWay) if (at <= this.now) this.#ended(key);
      for (const { key } of decide(this.state, this.now, this.#random).dials) {
        this.dials.push({ key, at: this.now });
        this.#underWay.set(key, this.now + this.#dialMs(key));
      }
    }
  }

  #ended(key: string): void {
    this.#underWay.delete(key);
    if (!this.present.has(key)) return this.#on({ type: 'dial-failed', key });
    this.opens(key);
    this.#on({ type: 'dialled', key, peerId: key });
  }

  opens(peerId: string): void {
    this.#on({ type: 'opened', linkId: `link of ${peerId}`, peerId });
  }
  closes(peerId: string): void {
    this.#on({ type: 'closed', linkId: `link of ${peerId}` });
  }
  tell(type: 'dial-now' | 'heard-of', peerId: string, from = peerId): void {
    this.#on({ type, peerId, from });
  }

  /** Dials from `from` on, and the most of them within any `ms`. */
  since(from: number, ms: number): { count: number; most: number } {
    const times = this.dials.flatMap(({ at }) => (at >= from ? at : []));
    let [first, most] = [0, 0];
    for (const [last, at] of times.entries()) {
      while ((times[first] ?? at) <= at - ms) first++;
      most = Math.max(most, last - first + 1);
    }
    return { count: times.length, most };
  }
  dialledAt(key: string, from: number): number {
    return this.dials.find((dial) => dial.key === key && dial.at >= from)?.at ?? Infinity;
  }
}

describe('a thousand absent peers', { timeout: 60_000 }, () => {
  const { redialBurst, redialEveryMs, backoffPerAbsentMs } = SUPERVISOR_LIMITS;

  it('are each dialled soon, and from then on all together no oftener than the budget allows, from the first hour on', () => {
    const world = new Absence(1000);
    world.run(2 * MINUTE);
    expect(new Set(world.dials.map(({ key }) => key)).size).toBe(1000);
    const rest = world.now;
    world.run(HOUR, 1000);
    const { count, most } = world.since(rest, MINUTE);
    expect(count).toBeLessThanOrEqual(HOUR / redialEveryMs + redialBurst);
    expect(most).toBeLessThanOrEqual(MINUTE / redialEveryMs + redialBurst);
  });

  it('after hours are dialled two in three seconds, without bursts, each of them in its turn', () => {
    const world = new Absence(1000);
    world.run(6 * HOUR, LONG_TICK);
    const rest = world.now;
    world.run(HOUR, 1000);
    const hour = world.since(rest, 10_000);
    expect(hour.count).toBeLessThanOrEqual((HOUR / (backoffPerAbsentMs * 0.75)) * 1.1);
    expect(hour.count).toBeGreaterThan(1000); // and yet nobody is forgotten
    expect(hour.most).toBeLessThanOrEqual(10_000 / redialEveryMs + redialBurst);
    expect(new Set(world.dials.filter(({ at }) => at >= rest).map(({ key }) => key)).size).toBe(1000);
  });

  it('cost as many dials an hour as two hundred do', () => {
    const [few, many] = [200, 1000].map((peers) => {
      const world = new Absence(peers);
      world.run(6 * HOUR, LONG_TICK);
      const rest = world.now;
      world.run(HOUR / 2);
      return world.since(rest, MINUTE).count;
    });
    expect(many).toBeLessThan((few ?? 0) * 1.15);
  });

  it('leave few ones their ninety seconds', () => {
    const world = new Absence(10);
    world.run(6 * HOUR, LONG_TICK);
    world.present.add('peer-3');
    const back = world.now;
    world.run(90_000 + TICK);
    expect(world.dialledAt('peer-3', back)).toBeLessThanOrEqual(back + 90_000);
  });

  it('are used at once when they come back by themselves, or are heard from', () => {
    const world = new Absence(1000, () => SUPERVISOR_LIMITS.dialMs); // every dial is swallowed
    world.run(HOUR, LONG_TICK);
    world.opens('peer-7');
    world.run(10_000);
    world.closes('peer-7');
    const lost = world.now;
    world.run(1000);
    expect(world.dialledAt('peer-7', lost)).toBeLessThanOrEqual(lost + 2 * TICK + 250);
    world.run(SUPERVISOR_LIMITS.dialMs);
    const heard = world.now;
    world.tell('dial-now', 'peer-8');
    world.run(1000);
    expect(world.dialledAt('peer-8', heard)).toBeLessThanOrEqual(heard + TICK);
  });

  it('of which others tell are dialled before those of which nobody does, at the cost of the budget', () => {
    const world = new Absence(1000);
    world.run(HOUR, LONG_TICK);
    const told = world.now;
    for (let n = 0; n < 1000; n++) world.tell('heard-of', `peer-${n}`);
    world.run(10 * MINUTE);
    expect(world.since(told, MINUTE).count).toBeLessThanOrEqual((10 * MINUTE) / redialEveryMs + redialBurst);
    world.run(10 * MINUTE);
    const again = world.now;
    world.tell('heard-of', 'peer-999');
    world.run(5000);
    expect(world.dialledAt('peer-999', again)).toBeLessThanOrEqual(again + redialEveryMs + TICK);
  });

  it('keep half of the redials for those of which nobody tells, however many liars tell of the others', () => {
    const world = new Absence(200);
    world.run(HOUR, LONG_TICK);
    const told = world.now;
    const isOthers = (key: string): boolean => Number(key.slice('peer-'.length)) >= 100;
    world.present.add('peer-150');
    for (let second = 0; second < 600; second++) {
      for (let n = 0; n < 100; n++) world.tell('heard-of', `peer-${n}`, `liar ${second % 8}`);
      world.run(1000);
    }
    const dials = world.dials.filter(({ at }) => at >= told);
    const others = dials.filter(({ key }) => isOthers(key)).length;
    expect(dials.length).toBeGreaterThan(300);
    expect(others).toBeGreaterThan(100);
    expect(world.dialledAt('peer-150', told)).toBeLessThanOrEqual(told + 200 * backoffPerAbsentMs);
  });

  it('are found by what others tell truly, beside a liar in at most twice the time', () => {
    const found = (liars: number): number => {
      const world = new Absence(200);
      world.run(HOUR, LONG_TICK);
      const back = Array.from({ length: 50 }, (_, n) => `peer-${100 + n}`);
      for (const key of back) world.present.add(key);
      const told = world.now;
      const missing = (): string[] => back.filter((key) => world.dialledAt(key, told) === Infinity);
      while (missing().length > 0 && world.now < told + HOUR) {
        for (let n = 0; n < 32; n++)
          for (let liar = 0; liar < liars; liar++) world.tell('heard-of', `peer-${n}`, `liar ${liar}`);
        for (const key of missing()) world.tell('heard-of', key, 'honest');
        world.run(1000);
      }
      return world.now - told;
    };
    const alone = found(0);
    expect(alone).toBeLessThan(10 * MINUTE);
    expect(found(1)).toBeLessThanOrEqual(2 * alone);
    expect(found(4)).toBeLessThanOrEqual(2 * alone);
  });

  it('are not all dialled because one of them, long away, came back', () => {
    const world = new Absence(1000);
    world.run(HOUR, LONG_TICK);
    for (const each of ['peer-1', 'peer-2', 'peer-3']) world.opens(each);
    world.run(MINUTE);
    for (const each of ['peer-1', 'peer-2', 'peer-3']) world.closes(each);
    world.run(10 * MINUTE);
    const back = world.now;
    world.present.add('peer-2').add('peer-3');
    world.opens('peer-1');
    world.run(10_000);
    for (const each of ['peer-2', 'peer-3'])
      expect(world.dialledAt(each, back)).toBeLessThanOrEqual(
        back + SUPERVISOR_LIMITS.spreadMs + 2 * redialEveryMs + TICK,
      );
    expect(world.since(back, MINUTE).count).toBeLessThanOrEqual(13);
  });
});
