import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { type HttpNode, HttpNodes } from '../../../protocols/registry/http-nodes.ts';
import { changedStatus } from '../../../protocols/registry/node-status.ts';
import { createNonces, type NonceStore } from '../../../protocols/registry/nonces.ts';
import { REGISTRY_LIMITS, Registry } from '../../../protocols/registry/registry.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error: unknown) => errorCode(error),
  );

function memory(): NonceStore & { kept: Map<string, number> } {
  const kept = new Map<string, number>();
  return {
    kept,
    load: () => Promise.resolve([...kept]),
    save(id, until, expired) {
      for (const each of expired) kept.delete(each);
      kept.set(id, until);
      return Promise.resolve();
    },
  };
}

describe('nonces', () => {
  it('count once for ten minutes, over restarts, and then are forgotten', async () => {
    const store = memory();
    const first = await createNonces(store);
    await first.use('a', '1', 0);
    expect(await codeOf(first.use('a', '1', 1))).toBe('registration-replayed');
    await first.use('b', '1', 1);
    const again = await createNonces(store);
    expect(await codeOf(again.use('a', '1', 599_999))).toBe('registration-replayed');
    await again.use('a', '1', 600_000);
    expect([...store.kept.keys()].sort()).toEqual(['a|1', 'b|1']);
  });

  it('are bounded: a flood is refused, not forgotten', async () => {
    const store = memory();
    for (let n = 0; n < REGISTRY_LIMITS.nonces; n++) store.kept.set(`a|${n}`, 600_000);
    const nonces = await createNonces(store);
    expect(await codeOf(nonces.use('a', 'new', 0))).toBe('registry-full');
    expect(await codeOf(nonces.use('a', 'new', 600_000))).toBe('none');
  });
});

describe('nonces of one user', () => {
  it('leave room for others, and are given back with time', async () => {
    const nonces = await createNonces(memory());
    for (let n = 0; n < REGISTRY_LIMITS.noncesPerAsker; n++) await nonces.use('m', `${n}`, 0, 'mallory');
    expect(await codeOf(nonces.use('m', 'more', 1, 'mallory'))).toBe('registry-full');
    expect(await codeOf(nonces.use('a', '1', 1, 'alice'))).toBe('none');
    expect(await codeOf(nonces.use('m', 'more', 600_001, 'mallory'))).toBe('none');
  });
});

describe('the registry', () => {
  it('is not filled by nodes that nobody can reach, nor with the keys of one user', async () => {
    const store = {
      load: () => Promise.resolve([]),
      save: () => new Promise<void>((resolve) => setImmediate(resolve)),
    };
    const registry = await Registry.open(identityFromSeed(randomBytes(32)).peerId, store, () => undefined);
    const register = (by: string | undefined, status: 'active' | 'pending'): Promise<string> => {
      const caller = identityFromSeed(randomBytes(32)).peerId;
      const statement = { caller, nodeUrl: '', region: '', name: '', multiaddrs: [], schemaVersion: 1 };
      return codeOf(registry.register({ ...statement, tlsFingerprint: '' }, undefined, 0, { status, by }));
    };
    const taken = (codes: string[]): number => codes.filter((code) => code === 'none').length;
    const one = await Promise.all(Array.from({ length: 100 }, () => register('mallory', 'pending')));
    expect(taken(one)).toBe(REGISTRY_LIMITS.perAsker);
    expect(await register('mallory', 'active')).toBe('registry-full');
    const many = await Promise.all(Array.from({ length: 400 }, (_, n) => register(`m${n}`, 'pending')));
    expect(taken([...one, ...many])).toBe(REGISTRY_LIMITS.pending);
    expect(await register('alice', 'active')).toBe('none');
    expect(await register(undefined, 'pending')).toBe('none');
  });
});

describe('HTTP nodes', () => {
  it('bound what waits for the operator', async () => {
    const saved: HttpNode[] = [];
    const nodes = await HttpNodes.open(
      {
        load: () => Promise.resolve([]),
        save: (node) => Promise.resolve(void saved.push(node)),
        remove: () => Promise.resolve(),
      },
      () => undefined,
    );
    for (let n = 0; n < REGISTRY_LIMITS.pending; n++)
      await nodes.request(`https://n${n}.example`, 'x', undefined, n, { by: `user-${n % 16}` });
    expect(await codeOf(nodes.request('https://more.example', 'x', undefined, 0, { by: 'new' }))).toBe(
      'registry-full',
    );
    // Who waits already may ask again.
    expect(await codeOf(nodes.request('https://n1.example', 'y', undefined, 0))).toBe('none');
    await nodes.change('legacy:https://n1.example', 'approve');
    expect(await codeOf(nodes.request('https://more.example', 'x', undefined, 0, { by: 'new' }))).toBe(
      'none',
    );
    // All wait that may: the operator can still add one.
    expect(await codeOf(nodes.request('https://own.example', 'x', undefined, 0))).toBe('none');
    expect((await nodes.request('https://n1.example', 'z', undefined, 0)).region).toBe('y');
    await nodes.synced('legacy:https://n1.example', 5, 'peer-timeout');
    await nodes.synced('legacy:https://n1.example', 6);
    expect(nodes.get('legacy:https://n1.example')).toMatchObject({ lastSyncAt: 6, status: 'active' });
    expect(nodes.get('legacy:https://n1.example')?.lastError).toBeUndefined();
  });

  it('cannot be filled with the keys of one user, however many come at once', async () => {
    const nodes = await HttpNodes.open(
      {
        load: () => Promise.resolve([]),
        save: () => new Promise((resolve) => setImmediate(resolve)),
        remove: () => Promise.resolve(),
      },
      () => undefined,
    );
    const codes = await Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        codeOf(nodes.request(`https://n${n}.example`, 'x', undefined, n, { by: 'mallory' })),
      ),
    );
    expect(codes.filter((code) => code === 'none')).toHaveLength(REGISTRY_LIMITS.perAsker);
    expect(await codeOf(nodes.request('https://good.example', 'x', undefined, 0, { by: 'alice' }))).toBe(
      'none',
    );
  });

  it('change their status only as the operator can', () => {
    expect(changedStatus('pending', 'approve')).toBe('active');
    expect(changedStatus('active', 'suspend')).toBe('suspended');
    expect(changedStatus('suspended', 'resume')).toBe('active');
    expect(changedStatus('active', 'revoke')).toBe('revoked');
    expect(changedStatus('active', 'approve')).toBe('active');
    expect(() => changedStatus('suspended', 'approve')).toThrow('resume');
    expect(() => changedStatus('revoked', 'resume')).toThrow('approve');
    expect(() => changedStatus('revoked', 'suspend')).toThrow('approve');
  });
});
