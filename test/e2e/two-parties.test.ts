import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agrinetHere } from '../support/cli.ts';
import { digestOf, Federation, type Member, sameDigest } from '../support/federation.ts';
import { filesWith } from '../support/files-with.ts';
import { waitFor } from '../support/wait.ts';

// Text that is nowhere else, so that a raw search for it means something.
const SECRET = 'zebra-quartz-51-crates-behind-the-mill';

interface Contract {
  readonly contractId: string;
  readonly notes?: string;
  readonly price?: number;
  readonly conflicts?: unknown;
}

interface Conflict {
  readonly id: string;
  readonly field: string;
  readonly winner: unknown;
  readonly losing: readonly unknown[];
}

const conflictsOf = async (member: Member): Promise<readonly Conflict[]> =>
  (await member.json<{ conflicts: Conflict[] }>('GET', '/conflicts')).conflicts;

describe('a contract between two of three nodes', () => {
  const federation = new Federation();
  let buyer: Member;
  let supplier: Member;
  let third: Member;
  let path = '';
  let id = '';

  /** The hash after the owner's peer id: alone it stands in keys and channels. */
  const localId = (): string => {
    const local = id.split('.').at(-1) ?? '';
    expect(local).toMatch(/^[\w-]{40,}$/);
    return local;
  };

  const contractAt = async (member: Member): Promise<Contract | undefined> => {
    const response = await member.request('GET', path);
    return response.ok ? ((await response.json()) as Contract) : undefined;
  };

  beforeAll(async () => {
    buyer = await federation.add();
    supplier = await federation.add();
    third = await federation.add();
    await federation.registerAll();
  });
  afterAll(() => federation.close());

  it('reaches the other party, with its later terms from both sides', async () => {
    const made = await buyer.json<Contract>('POST', '/contracts', {
      commodity: 'Maize',
      buyerId: `u1@${buyer.peerId}`,
      supplierId: `u2@${supplier.peerId}`,
      notes: SECRET,
    });
    id = made.contractId;
    path = `/contracts/${encodeURIComponent(id)}`;
    await waitFor('the supplier to hold it', async () => (await contractAt(supplier))?.notes === SECRET);
    await supplier.json('PATCH', path, { price: 41 });
    await waitFor('the buyer to see the price', async () => (await contractAt(buyer))?.price === 41);
  });

  it('is refused with a party that is not registered', async () => {
    const response = await third.request('POST', '/contracts', { supplierId: 'u@12D3KooWNobody' });
    expect({ status: response.status, body: await response.json() }).toMatchObject({
      status: 409,
      body: { code: 'party-unknown' },
    });
  });

  it('keeps both values when both change one field unknowingly, the same on both', async () => {
    // Deaf to one another for a moment, as in a partition: neither takes what the other writes.
    await buyer.json('POST', `/federation/nodes/${supplier.peerId}/suspend`);
    await supplier.json('POST', `/federation/nodes/${buyer.peerId}/suspend`);
    await buyer.json('PATCH', path, { price: 42 });
    await supplier.json('PATCH', path, { price: 43 });
    expect((await contractAt(buyer))?.price).toBe(42);
    expect((await contractAt(supplier))?.price).toBe(43);
    await buyer.json('POST', `/federation/nodes/${supplier.peerId}/resume`);
    await supplier.json('POST', `/federation/nodes/${buyer.peerId}/resume`);

    const [here, there] = await waitFor(
      'the conflict to show on both',
      async () => {
        const both = await Promise.all([conflictsOf(buyer), conflictsOf(supplier)]);
        return both.every(({ length }) => length === 1) && both;
      },
      20_000,
    );
    expect(here).toEqual(there);
    expect(here).toMatchObject([{ field: 'price' }]);
    expect([here?.[0]?.winner, ...(here?.[0]?.losing ?? [])].sort()).toEqual([42, 43]);
    const both = await Promise.all([contractAt(buyer), contractAt(supplier)]);
    expect(both[0]?.conflicts).toBeDefined();
    expect(both[0]).toEqual(both[1]);
    const { stdout } = await agrinetHere(buyer, ['conflicts', '--json']);
    expect(JSON.parse(stdout)).toEqual({ conflicts: here });
  });

  it('is settled by one party for both', async () => {
    const [conflict] = await conflictsOf(supplier);
    if (conflict === undefined) throw new Error('no conflict');
    const body = { field: 'price', value: 42 };
    // A node that takes no part can do nothing about it.
    expect((await third.request('POST', `/conflicts/${conflict.id}/resolve`, body)).ok).toBe(false);
    await supplier.json('POST', `/conflicts/${conflict.id}/resolve`, body);
    await waitFor('it to be settled on both', async () => {
      const open = await Promise.all([conflictsOf(buyer), conflictsOf(supplier)]);
      return open.every(({ length }) => length === 0);
    });
    const both = await Promise.all([contractAt(buyer), contractAt(supplier)]);
    expect(both.map((contract) => contract?.price)).toEqual([42, 42]);
    expect(both.map((contract) => contract?.conflicts)).toEqual([undefined, undefined]);
    expect((await supplier.request('POST', `/conflicts/${conflict.id}/resolve`, body)).status).toBe(404);
  });

  it('is shown to nobody else', async () => {
    expect((await third.request('GET', path)).status).toBe(404);
    for (const [method, url] of [
      ['GET', path],
      ['GET', '/conflicts'],
      ['PATCH', path],
    ] as const) {
      const response = await fetch(supplier.url + url, {
        method,
        ...(method === 'PATCH'
          ? { body: '{"price":1}', headers: { 'content-type': 'application/json' } }
          : {}),
      });
      expect(response.ok, `${method} ${url} without a key`).toBe(false);
    }
    for (const url of [
      '/contracts',
      '/federation/export',
      '/federation/feeds',
      '/federation/digest',
      '/status-page',
      '/',
    ])
      for (const member of federation.members) {
        const text = await (await fetch(member.url + url)).text();
        expect(text, url).not.toContain(SECRET);
        expect(text, url).not.toContain(localId());
      }
  });

  it('leaves no byte of it with the third node', async () => {
    // A public record of the same author has come all the way: the way was open.
    await buyer.json('POST', '/listings', { type: 'request', title: 'Maize wanted' });
    await sameDigest(federation.members, 10_000, (state) => Object.keys(state.owners).includes(buyer.peerId));
    await Promise.all(federation.members.map((member) => member.request('GET', '/federation/sync')));
    const publicOnly = await digestOf(third);
    expect(JSON.stringify(publicOnly.owners)).not.toContain('contracts');
    await Promise.all(federation.members.map((member) => member.stop()));
    for (const text of [SECRET, localId()]) {
      expect(filesWith(third.dir, text)).toEqual([]);
      // The search finds what is there.
      for (const party of [buyer, supplier])
        expect(filesWith(party.dir, text), `${text} with a party`).not.toEqual([]);
    }
  });
});
