import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createListeners } from '../../../daemon/listeners.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

describe('listeners', () => {
  it('are told one by one: one that throws or rejects takes nothing from the others, and is named', async () => {
    const failed: string[] = [];
    const heard: string[] = [];
    const { add, tell } = createListeners<string>(
      (listener, error) => void failed.push(`${listener}: ${String(error)}`),
    );
    add('first', (told) => heard.push(`first ${told}`));
    add('throws', () => {
      throw new RangeError('no date');
    });
    add('rejects', () => Promise.reject(new RangeError('later')));
    add('last', (told) => heard.push(`last ${told}`));
    tell('a');
    await Promise.resolve();
    expect(heard).toEqual(['first a', 'last a']);
    expect(failed).toEqual(['throws: RangeError: no date', 'rejects: RangeError: later']);
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
    node.node.onCommit('clumsy', () => {
      throw new RangeError('Invalid time value');
    });
    node.node.onCommit('later', ({ changes }) => after.push(changes.length));
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
