import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHook, createHooks } from '../../../daemon/hooks.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

describe('a hook', () => {
  function hook() {
    const failed: string[] = [];
    const heard: string[] = [];
    const made = createHook<string>((listener, error) => void failed.push(`${listener}: ${String(error)}`));
    made.on('first', (what) => heard.push(`first ${what}`));
    made.on('throws', () => {
      throw new RangeError('no date');
    });
    made.on('rejects', () => Promise.reject(new RangeError('later')));
    return { made, failed, heard };
  }

  it('tells one after the other: one that throws, rejects or never ends takes nothing from the others, and is named', async () => {
    const { made, failed, heard } = hook();
    made.on('slow', () => new Promise(() => undefined));
    made.on('last', (what) => heard.push(`last ${what}`));
    made.emit('a');
    await Promise.resolve();
    expect(heard).toEqual(['first a', 'last a']);
    expect(failed).toEqual(['throws: RangeError: no date', 'rejects: RangeError: later']);
  });

  it('settles when all are done, none kept from it by another, and rejects when one has failed', async () => {
    const { made, failed, heard } = hook();
    const slow = Promise.withResolvers<void>();
    made.on('slow', async () => {
      await slow.promise;
      heard.push('slow');
    });
    made.on('last', (what) => heard.push(`last ${what}`));
    const settled = made.emitAndWait('a');
    let over = false;
    const noted = settled.catch(() => undefined).then(() => (over = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect([heard, over]).toEqual([['first a', 'last a'], false]);
    slow.resolve();
    await expect(settled).rejects.toThrow('no date');
    await noted;
    expect(heard).toEqual(['first a', 'last a', 'slow']);
    expect(failed.toSorted()).toEqual(['rejects: RangeError: later', 'throws: RangeError: no date']);
  });

  it('counts who failed and tells it on, but not for ever: a listener of alarms that fails raises none', () => {
    const log: string[] = [];
    const hooks = createHooks(({ listener }, message) => void log.push(`${message}: ${String(listener)}`));
    const raised: string[] = [];
    hooks.failed.on('alarms', (listener) => {
      raised.push(listener);
      hooks.alarmed.emit({ kind: 'listener-failed', listener });
    });
    hooks.alarmed.on('clumsy', () => {
      throw new RangeError('an alarm is too much');
    });
    hooks.recovered.on('first', () => {
      throw new RangeError('not yet');
    });
    hooks.recovered.emit();
    expect(raised).toEqual(['first']);
    expect(Object.fromEntries(hooks.failures)).toEqual({ first: 1, clumsy: 1 });
    expect(log).toEqual(['a listener failed: first', 'a listener failed: clumsy']);
  });
});

describe('a commit of a running node', () => {
  const dir = tempDir('listeners');
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode(dir.path);
  });
  afterAll(async () => {
    await node.stop();
    dir.remove();
  });

  it('stands whatever its listeners do, and the operator learns which of them failed', async () => {
    const after: number[] = [];
    node.node.hooks.committed.on('clumsy', () => {
      throw new RangeError('Invalid time value');
    });
    node.node.hooks.committed.on('later', ({ changes }) => after.push(changes.length));
    const made = await node.request('POST', '/listings', { type: 'offer', status: 'active', title: 'maize' });
    expect(made.status).toBe(201);
    const { listingId } = (await made.json()) as { listingId: string };
    expect((await node.request('GET', `/listings/${listingId}`)).status).toBe(200);
    expect(after.length).toBeGreaterThan(0);
    const ready = (await (await node.request('GET', '/ready')).json()) as {
      alarms: { kind: string; text: string }[];
    };
    expect(ready.alarms.filter(({ kind }) => kind === 'listener-failed').map(({ text }) => text)).toEqual([
      expect.stringContaining('clumsy'),
    ]);
    const metrics = await (await node.request('GET', '/metrics')).text();
    expect(metrics).toMatch(/agrinet_listener_failures_total\{listener="clumsy"\} [1-9]/);
  });
});
