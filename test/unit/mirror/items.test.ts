import { describe, expect, it } from 'vitest';
import {
  keyItem,
  lineOfStamp,
  logItem,
  logStamp,
  nodeItem,
  notificationItem,
} from '../../../daemon/mirror/items.ts';
import { clientOptions } from '../../../daemon/mirror/start-mirror.ts';
import { loadSettings } from '../../../daemon/settings.ts';
import { nextLine, NO_LINES } from '../../../protocols/audit/chain.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const AT = Date.UTC(2026, 10, 3, 10, 20, 30, 123);

describe('the sort key of a log item', () => {
  it('is a time that old clients read, unlike any other of the transaction, and in order', () => {
    const stamps = [1, 2, 10, 199_999].map((no) => logStamp({ at: AT, no }));
    expect(new Set(stamps).size).toBe(4);
    expect([...stamps].sort()).toEqual(stamps);
    for (const stamp of stamps) expect(new Date(stamp).getTime()).toBe(AT);
    expect(stamps.map(lineOfStamp)).toEqual([1, 2, 10, 199_999]);
    expect(lineOfStamp('2026-11-03T10:20:30.123Z')).toBeUndefined();
  });
});

describe('items in the shapes of the old back end', () => {
  it('name a step of a contract as a change of status', () => {
    const line = nextLine(
      NO_LINES,
      { kind: 'contract', actor: 'mary@x', transactionId: 'c', note: 'accept' },
      AT,
    );
    expect(logItem(line)).toEqual({ actorId: 'mary@x', action: 'status_change', note: 'accept' });
    expect(logItem({ ...line, kind: 'ping' })).toMatchObject({ action: 'ping' });
  });

  it('hold the hash of a key under another name than a key', () => {
    const item = keyItem({
      id: 'k',
      hash: 'ab12',
      userId: 'mary',
      scopes: ['read'],
      issuedAt: AT,
      expiresAt: AT + 1000,
      usageCount: 3,
    });
    expect(item).toMatchObject({
      hash: 'ab12',
      userId: 'mary',
      usageCount: 3,
      issuedAt: new Date(AT).toISOString(),
    });
    expect(Object.keys(item)).not.toContain('key');
  });

  it('hold a node in the node template, without its contact', () => {
    const { peerId } = identityFromSeed(Buffer.alloc(32, 1));
    const item = nodeItem(
      {
        peerId,
        url: 'https://a.example.org',
        region: 'West',
        name: 'a',
        multiaddrs: [],
        status: 'active',
        schemaVersion: 1,
        registeredAt: AT,
        lastSyncAt: 0,
        tlsFingerprint: '',
        contactEmail: 'somebody@example.org',
      },
      { 'support.labor': '["harvest"]', 'reputation.leveson': 4, interoperability: '["x"]' },
    );
    expect(item).toMatchObject({
      nodeId: peerId,
      region: 'West',
      lastSyncAt: null,
      production: { capabilities: [] },
      support: { labor: ['harvest'], compostingGrazing: [] },
      interoperability: ['x'],
      reputation: { leveson: 0 },
    });
    expect(JSON.stringify(item)).not.toContain('somebody');
  });

  it('hold a notification', () => {
    const row = { userId: 'u', notificationId: 'n', message: 'm', read: true, createdAt: 'then', jobId: 'j' };
    expect(notificationItem(row)).toEqual({ message: 'm', read: true, createdAt: 'then' });
  });
});

describe('credentials', () => {
  const env = { AWS_REGION: 'eu-west-1', AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
  it('of the environment are left to the SDK’s chain; those from files are handed over', () => {
    const settings = loadSettings(env);
    expect(clientOptions(settings, env)).toEqual({ endpoint: undefined, region: 'eu-west-1', prefix: '' });
    expect(clientOptions(settings, {})).toMatchObject({
      credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    });
    expect(clientOptions(loadSettings({ AWS_REGION: 'eu-west-1' }), {})).not.toHaveProperty('credentials');
  });
});
