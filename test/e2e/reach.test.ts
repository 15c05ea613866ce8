import { expect, it } from 'vitest';
import { ProcessFederation, type ProcessMember } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

interface Status {
  readonly federationHealth: { node: string; status: string; error?: string }[];
}

/** How a node sees its peers, by their URL. */
async function seenBy(node: ProcessMember): Promise<Map<string, { status: string; error?: string }>> {
  const { federationHealth } = await node.json<Status>('GET', '/federation/status');
  return new Map(federationHealth.map((each) => [each.node.replace(/\/$/, ''), each]));
}

it('shows a killed peer and a silent one as away within 90 s, tells each once, and finds the silent one again', async () => {
  const federation = new ProcessFederation();
  try {
    const watcher = await federation.add();
    const killed = await federation.add();
    const silent = await federation.add();
    await federation.registerAll();
    const isOnline = async (peer: ProcessMember): Promise<boolean> =>
      (await seenBy(watcher)).get(peer.url)?.status === 'ONLINE';
    await waitFor(
      'all to be online',
      async () => (await isOnline(killed)) && (await isOnline(silent)),
      30_000,
    );
    // Both were reached over HTTP as well, a moment ago.
    await watcher.json('POST', '/federation/pull', { sourceUrl: killed.url });

    silent.child.kill('SIGSTOP'); // its kernel answers, and nobody else
    await killed.stop('SIGKILL');
    const started = performance.now();
    for (const peer of [killed, silent])
      await waitFor(`${peer.url} to be away`, async () => !(await isOnline(peer)), 90_000);
    expect(performance.now() - started).toBeLessThan(92_000);
    expect((await seenBy(watcher)).get(silent.url)?.error).toContain('since');
    const { findings } = await watcher.json<{ findings: { check: string; message: string }[] }>(
      'GET',
      '/doctor',
    );
    const away = findings.filter(({ check }) => check === 'peers').map(({ message }) => message);
    expect(away).toHaveLength(2);
    for (const message of away) expect(message).toMatch(/since \d{4}-/);
    const metrics = await (await watcher.request('GET', '/metrics')).text();
    expect(metrics).toContain(`agrinet_peer_reached{peer="${silent.peerId}"} 0`);

    silent.child.kill('SIGCONT');
    await waitFor('the silent one to be back', () => isOnline(silent), 60_000);
    await waitFor('the line that says so', () => watcher.output().includes('peer back'), 10_000);
    for (const [line, times] of [
      ['peer lost', 2],
      ['peer back', 1],
    ] as const)
      expect(watcher.output().split(line).length - 1, line).toBe(times);
  } finally {
    for (const member of federation.members) member.child.kill('SIGCONT');
    await federation.close();
  }
}, 240_000);
