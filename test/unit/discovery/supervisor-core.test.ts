import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  apply,
  backoff,
  emptyState,
  SUPERVISOR_LIMITS,
  type SupervisorEvent,
  type SupervisorState,
} from '../../../protocols/discovery/supervisor-core.ts';
import { decide } from '../../../protocols/discovery/supervisor-decisions.ts';

const half = (): number => 0.5;

/** A supervisor with a clock of its own; dials fail at once unless the peer is reachable. */
class World {
  readonly state: SupervisorState;
  readonly reachable = new Set<string>();
  readonly dialled: { key: string; at: number }[] = [];
  now = 0;
  #links = 0;
  readonly #random: () => number;

  constructor(options: { degree?: number; random?: () => number } = {}) {
    this.state = emptyState('self', options.degree ?? 4);
    this.#random = options.random ?? half;
  }
  on(event: SupervisorEvent): void {
    apply(this.state, event, this.now, this.#random);
  }
  open(peerId: string): string {
    const linkId = `link-${this.#links++}`;
    this.on({ type: 'opened', linkId, peerId });
    return linkId;
  }
  step(): ReturnType<typeof decide> {
    const effects = decide(this.state, this.now, this.#random);
    for (const { key } of effects.dials) {
      this.dialled.push({ key, at: this.now });
      if (this.reachable.has(key)) {
        this.open(key);
        this.on({ type: 'dialled', key, peerId: key });
      } else this.on({ type: 'dial-failed', key });
    }
    for (const linkId of effects.pings) this.on({ type: 'pinged', linkId, result: 'ok' });
    return effects;
  }
  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 100) this.step();
  }
}

describe('backoff', () => {
  it('is between half and all of a quarter of the outage, within 1 s and 90 s', () => {
    expect(backoff(0, 0)).toBe(500);
    expect(backoff(30_000, 0.999_999)).toBeLessThanOrEqual(7500);
    expect(backoff(30_000, 0)).toBe(3750);
    expect(backoff(3_600_000, 0)).toBe(45_000);
    fc.assert(
      fc.property(
        fc.nat(1e9),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (outage, random) => {
          const cap = Math.min(Math.max(outage / 4, 1000), 90_000);
          const wait = backoff(outage, random);
          return wait >= cap / 2 && wait <= cap;
        },
      ),
    );
  });
});

describe('supervisor', () => {
  it('redials a registered peer for ever, and connects soon after it is back, however long it was away', () => {
    for (const away of [5000, 30_000, 3_600_000, 86_400_000]) {
      const world = new World({ random: () => 0.999 });
      world.on({ type: 'registered', peerIds: ['a'] });
      world.run(away);
      world.reachable.add('a');
      const back = world.now;
      world.run(91_000);
      const last = world.dialled.at(-1);
      expect(last?.at).toBeGreaterThanOrEqual(back);
      expect((last?.at ?? Infinity) - back).toBeLessThanOrEqual(
        Math.max(1100, Math.min(away / 4, 90_000) + 100),
      );
      expect(world.state.links.size).toBe(1);
    }
  });

  it('forgets the wait at an inbound contact', () => {
    const world = new World();
    world.on({ type: 'registered', peerIds: ['a'] });
    world.run(600_000);
    const linkId = world.open('a');
    world.run(6000);
    world.on({ type: 'closed', linkId });
    const lost = world.now;
    world.dialled.length = 0;
    world.run(1000);
    expect(world.dialled[0]?.at).toBeLessThanOrEqual(lost + 300);
  });

  it('tries everybody within a second when one registered peer comes back, a little apart', () => {
    let seed = 0;
    const world = new World({ random: () => (seed = (seed * 16_807 + 11) % 2_147_483_647) / 2_147_483_647 });
    const peers = ['a', 'b', 'c', 'd', 'e', 'f'];
    world.on({ type: 'registered', peerIds: peers });
    world.run(600_000);
    world.dialled.length = 0;
    const back = world.now;
    world.open('a');
    world.run(1200);
    const tried = new Map(world.dialled.map(({ key, at }) => [key, at]));
    expect([...tried.keys()].toSorted()).toEqual(['b', 'c', 'd', 'e', 'f']);
    expect(Math.max(...tried.values()) - back).toBeLessThanOrEqual(1100);
    expect(new Set(tried.values()).size).toBeGreaterThan(1);
  });

  it('a flapping connection does not make it dial without pause', () => {
    const world = new World({ random: () => 0 });
    world.on({ type: 'registered', peerIds: ['a'] });
    for (let at = 0; at < 600; at++) {
      const { dials } = decide(world.state, world.now, () => 0);
      for (const { key } of dials) {
        world.dialled.push({ key, at: world.now });
        const linkId = world.open('a');
        world.on({ type: 'dialled', key, peerId: 'a' });
        world.on({ type: 'closed', linkId });
      }
      world.now += 100;
    }
    expect(world.dialled.length).toBeGreaterThan(5);
    expect(world.dialled.length).toBeLessThan(121);
  });

  it('never has more than four dials under way, and a hundred dead peers hold up nobody', () => {
    const state = emptyState('self', 4);
    const dead = Array.from({ length: 100 }, (_, at) => `dead-${at}`);
    apply(state, { type: 'registered', peerIds: [...dead, 'old'] }, 0, half);
    const underWay = new Map<string, number>();
    const dialledAt = new Map<string, number>();
    const runTo = (from: number, to: number): void => {
      for (let now = from; now < to; now += 100) {
        for (const [key, until] of underWay) {
          if (now < until) continue;
          underWay.delete(key);
          apply(state, { type: 'dial-failed', key }, now, half);
        }
        for (const { key } of decide(state, now, half).dials) {
          dialledAt.set(key, now);
          underWay.set(key, now + SUPERVISOR_LIMITS.dialMs);
        }
        expect(underWay.size).toBeLessThanOrEqual(SUPERVISOR_LIMITS.dials);
      }
    };
    runTo(0, 1_800_000);
    // each swallows five seconds: a round of four at a time takes 126 s, and everybody has his turn in it
    expect(dialledAt.get('old')).toBeGreaterThan(1_800_000 - 126_250 - 90_000);
    apply(state, { type: 'registered', peerIds: [...dead, 'old', 'fresh'] }, 1_800_000, half);
    runTo(1_800_000, 1_810_000);
    expect(dialledAt.get('fresh')).toBeLessThanOrEqual(1_805_500);
  });

  it('dials candidates only up to the target degree, two at a time, and forgets those that fail three times', () => {
    const world = new World({ degree: 3 });
    for (const peerId of ['a', 'b', 'c', 'd', 'e']) {
      world.reachable.add(peerId);
      world.on({ type: 'candidate', peerId });
    }
    const effects = decide(world.state, 0, half);
    expect(effects.dials).toHaveLength(2);
    for (const { key } of effects.dials) {
      world.open(key);
      world.on({ type: 'dialled', key, peerId: key });
    }
    world.run(10_000);
    expect(world.state.links.size).toBe(3);

    const lonely = new World();
    lonely.on({ type: 'candidate', peerId: 'x' });
    lonely.run(600_000);
    expect(lonely.dialled).toHaveLength(SUPERVISOR_LIMITS.candidateTries);
    expect(lonely.state.entries.size).toBe(0);
  });

  it('keeps at most the candidates of its limit, and never itself', () => {
    const world = new World();
    world.on({ type: 'candidate', peerId: 'self' });
    world.on({ type: 'registered', peerIds: ['self'] });
    for (let at = 0; at < 1000; at++) world.on({ type: 'candidate', peerId: `peer-${at}` });
    expect(world.state.entries.size).toBe(SUPERVISOR_LIMITS.candidates);
    expect(world.state.entries.has('peer-999')).toBe(true);
    expect(world.state.entries.has('self')).toBe(false);
  });

  it('dials a bootstrap address until its peer is connected, and again when it is lost', () => {
    const world = new World();
    const address = '/ip4/127.0.0.1/tcp/7000';
    world.on({ type: 'bootstrap', addresses: [address] });
    world.run(20_000);
    expect(world.dialled.length).toBeGreaterThan(3);
    const linkId = world.open('boot');
    world.on({ type: 'dialled', key: address, peerId: 'boot' });
    world.dialled.length = 0;
    world.run(20_000);
    expect(world.dialled).toHaveLength(0);
    world.on({ type: 'closed', linkId });
    world.run(1000);
    expect(world.dialled[0]?.key).toBe(address);
    world.on({ type: 'dial-failed', key: address, forGood: true });
    expect(world.state.entries.size).toBe(0);
  });

  it('pings a registered peer every five seconds or so, and closes the connection that does not answer', () => {
    const world = new World();
    world.on({ type: 'registered', peerIds: ['a'] });
    const silent = world.open('a');
    const other = world.open('a');
    let pinged: readonly string[] = [];
    while (!pinged.includes(silent)) {
      ({ pings: pinged } = decide(world.state, world.now, half));
      world.now += 100;
    }
    expect(world.now).toBeLessThanOrEqual(6000);
    world.on({ type: 'pinged', linkId: silent, result: 'inconclusive' });
    const again = decide(world.state, world.now, half);
    expect(again.closes).toEqual([]);
    expect(again.pings).toContain(silent);
    world.on({ type: 'pinged', linkId: silent, result: 'failed' });
    world.on({ type: 'pinged', linkId: other, result: 'ok' });
    expect(decide(world.state, world.now, half)).toMatchObject({ closes: [silent], dials: [] });
    world.on({ type: 'closed', linkId: silent });
    world.on({ type: 'closed', linkId: other });
    world.now += 1000;
    expect(decide(world.state, world.now, half).dials.map((one) => one.key)).toEqual(['a']);
  });

  it('a peer that is no longer registered is not redialled', () => {
    const world = new World();
    world.on({ type: 'registered', peerIds: ['a', 'b'] });
    world.run(1000);
    world.on({ type: 'registered', peerIds: ['b'] });
    world.dialled.length = 0;
    world.run(60_000);
    expect(new Set(world.dialled.map((one) => one.key))).toEqual(new Set(['b']));
  });
});
