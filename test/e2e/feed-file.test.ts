import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agrinetHere, type CliResult } from '../support/cli.ts';
import { join as register } from '../support/daemon.ts';
import { digestOf, Federation, type Member, sameDigest } from '../support/federation.ts';
import { tempDir } from '../support/temp-dir.ts';

interface Totals {
  readonly accepted: number;
  readonly known: number;
  readonly ignored: number;
  readonly reasons: Record<string, number>;
  readonly strangers: Record<string, number>;
}
const NOTES = 'heron-gravel-23-by-the-old-weir';

describe('feeds carried in a file, between nodes that cannot connect', () => {
  const federation = new Federation();
  const away = tempDir('feed-file');
  let a: Member;
  let b: Member;
  let c: Member;
  let contract = '';
  const file = (name: string): string => join(away.path, name);

  /** A daemon with a swarm key that no other has. */
  async function apart(name: string): Promise<Member> {
    writeFileSync(file(name), `/key/swarm/psk/1.0.0/\n/base16/\n${randomBytes(32).toString('hex')}\n`);
    return federation.add({ MYCELIUM_PSK_FILE: file(name), SYNC_INTERVAL_MINUTES: '0' });
  }
  async function write(member: Member, count: number): Promise<void> {
    for (let i = 0; i < count; i++)
      await member.json('POST', '/listings', { type: 'offer', title: `carried ${i}`, quantity: i });
  }
  async function carry(from: Member, name: string, ...args: string[]): Promise<void> {
    const { code, stderr } = await agrinetHere(from, ['export-feed', file(name), ...args]);
    expect([code, stderr]).toEqual([0, '']);
    expect(statSync(file(name)).mode & 0o777).toBe(0o600);
  }
  const bringing = (to: Member, name: string): Promise<CliResult> =>
    agrinetHere(to, ['import-feed', file(name), '--json']);
  async function bring(to: Member, name: string): Promise<Totals> {
    const { code, stdout, stderr } = await bringing(to, name);
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as Totals;
  }
  async function holds(member: Member): Promise<boolean> {
    const response = await member.request('GET', `/contracts/${contract}`);
    return (await response.text()).includes(NOTES);
  }

  beforeAll(async () => {
    a = await apart('a.key');
    b = await apart('b.key');
    c = await apart('c.key');
    await register(a, b);
    await register(a, c); // b and c do not know one another
    await write(a, 30);
    const parties = { buyerId: `u@${a.peerId}`, supplierId: `v@${b.peerId}` };
    const terms = { commodity: 'Maize', notes: NOTES, ...parties };
    contract = (await a.json<{ contractId: string }>('POST', '/contracts', terms)).contractId;
    expect((await digestOf(b)).digest).not.toBe((await digestOf(a)).digest);
  }, 60_000);
  afterAll(async () => {
    await federation.close();
    away.remove();
  });

  it('bring both to the same digest, there and back; the same file again changes nothing', async () => {
    await carry(a, 'a-to-b', '--for', b.peerId);
    const first = await bring(b, 'a-to-b');
    expect(first).toMatchObject({ known: 0, ignored: 0, reasons: {}, strangers: {} });
    expect(first.accepted).toBeGreaterThan(30);
    await write(b, 20);
    await carry(b, 'b-to-a', '--for', a.peerId);
    expect((await bring(a, 'b-to-a')).accepted).toBeGreaterThanOrEqual(20);
    const { digest } = await sameDigest([a, b], 1000);
    for (const [member, name] of [
      [b, 'a-to-b'],
      [a, 'b-to-a'],
    ] as const) {
      const again = await bring(member, name);
      expect(again).toMatchObject({ accepted: 0, ignored: 0 });
      expect(again.known).toBeGreaterThan(0);
    }
    expect(await a.digest()).toBe(digest);
  });

  it('bring a private contract to its other party and to nobody else', async () => {
    expect(await holds(b)).toBe(true);
    await carry(a, 'public');
    await carry(a, 'a-to-c', '--for', c.peerId);
    for (const name of ['public', 'a-to-c']) expect(readFileSync(file(name)).includes(NOTES)).toBe(false);
    expect(readFileSync(file('a-to-b')).includes(NOTES)).toBe(true);
    // Even the file that has it, brought to the wrong one.
    const wrong = await bring(c, 'a-to-b');
    expect(wrong.reasons['for-another-node']).toBeGreaterThan(0);
    expect(await holds(c)).toBe(false);
    expect((await digestOf(c)).owners[a.peerId]).toEqual((await digestOf(a)).owners[a.peerId]);
  });

  it('leave out authors that are not registered, and say whom', async () => {
    await carry(a, 'both');
    const totals = await bring(c, 'both');
    expect(Object.keys(totals.strangers)).toEqual([b.peerId]);
    expect(totals.reasons['author-not-registered']).toBe(totals.strangers[b.peerId]);
    expect((await digestOf(c)).owners[b.peerId]).toBeUndefined();
    await carry(a, 'only-b', '--author', b.peerId);
    expect(await bring(c, 'only-b')).toMatchObject({ accepted: 0, known: 0 });
    const told = await agrinetHere(c, ['import-feed', file('only-b')]);
    expect(told.stdout).toContain(`${b.peerId} is not registered here`);
  });

  it('stop at the first byte that is wrong, in one line that says how far the file was good', async () => {
    await write(a, 40);
    const before = await digestOf(c);
    await carry(a, 'later', '--author', a.peerId);
    const bytes = readFileSync(file('later'));
    const held = (state: Awaited<ReturnType<typeof digestOf>>): number =>
      state.owners[a.peerId]?.collections['listings']?.count ?? 0;
    const damage = async (name: string, content: Buffer): Promise<{ good: number }> => {
      writeFileSync(file(name), content);
      const { code, stdout, stderr } = await bringing(c, name);
      expect([name, code, stdout]).toEqual([name, 88, '']);
      expect(stderr.trim().split('\n')).toHaveLength(1);
      return { good: Number(/The (\d+) entries before it are valid/.exec(stderr)?.[1] ?? -1) };
    };
    const flipped = (at: number): Buffer => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ 0x10;
      return copy;
    };
    expect(await damage('no head', flipped(3))).toEqual({ good: -1 });
    expect(await damage('another', Buffer.from('something else'))).toEqual({ good: -1 });
    expect(held(await digestOf(c))).toBe(held(before));

    const { good } = await damage('flipped', flipped(Math.floor(bytes.length * 0.75)));
    expect(good).toBeGreaterThan(30);
    const part = await digestOf(c);
    expect(held(part)).toBeGreaterThan(held(before));
    expect(held(part)).toBeLessThan(held(await digestOf(a)));

    const cut = await damage('cut off', bytes.subarray(0, Math.floor(bytes.length * 0.9)));
    expect(cut.good).toBeGreaterThan(good);
    // The end alone: everything came in, and yet the file is not what was written.
    await damage('end', flipped(bytes.length - 1));
    expect((await digestOf(c)).owners[a.peerId]).toEqual((await digestOf(a)).owners[a.peerId]);
    expect(await bring(c, 'later')).toMatchObject({ accepted: 0, ignored: 0 });
  });

  it('are an operator’s to carry', async () => {
    const key = { 'x-api-key': '' };
    for (const method of ['GET', 'POST'])
      expect((await fetch(`${a.url}/federation/feed-file`, { method, headers: key })).status).toBe(403);
    expect((await agrinetHere(a, ['export-feed', file('x'), '--for', 'nobody'])).code).toBe(2);
    expect((await agrinetHere(a, ['export-feed', file('later')])).code).toBe(2);
  });
});
