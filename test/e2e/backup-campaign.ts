/**
 * A node loses its disk under load and comes back from a backup, or from a raw copy of its folder (an old image of its machine).
 * Right after the restore it holds what the backup says; among its peers it then has everything that a peer had, and nothing has
 * forked. By itself: `COUNT=20 SEED=7 MODE=backup node test/e2e/backup-campaign.ts` (or MODE=copy); the test runs the same with less.
 */
import { runCampaign } from '../support/campaign.ts';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PASSPHRASE, restore, type RestoreReport } from '../support/backups.ts';
import { agrinetHere } from '../support/cli.ts';
import { checkFeeds } from '../support/feed-check.ts';
import { ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { expectAcknowledged, nothingAcknowledged, writeUntil } from '../support/load.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

export interface BackupCampaignOptions {
  readonly count: number;
  readonly seed: number;
  readonly mode: 'backup' | 'copy';
  readonly onDone?: () => void;
}

export interface BackupFigures {
  readonly rounds: number;
  readonly acknowledged: number;
  /** Records in the last backup, and listings there in the end. */
  readonly records: number;
  readonly listings: number;
  readonly messages: number;
  readonly epochs: number;
}

interface Held {
  readonly listings: ReadonlyMap<string, number>;
  readonly messages: readonly string[];
}

export async function backupCampaign({
  count,
  seed,
  mode,
  onDone = () => undefined,
}: BackupCampaignOptions): Promise<BackupFigures> {
  const random = seededRandom(seed);
  const federation = new ProcessFederation();
  const away = tempDir('backups');
  const folderCopy = join(away.path, 'copy');
  try {
    const peer = await federation.add();
    let node = await federation.add();
    await federation.registerAll();
    const chat = await conversationWith(node, peer);
    let figures: BackupFigures | undefined;
    let acknowledged = 0;
    for (let round = 1; round <= count; round++) {
      const told = nothingAcknowledged();
      const load = new AbortController();
      const writing = Promise.all([
        writeUntil(node, told, load.signal, { inFlight: 16 }),
        chatUntil(node, chat, `${round}`, load.signal),
      ]);
      await writes(told, 64 + random() * 200);

      const file = join(away.path, `backup-${round}`);
      const before = new Map([...told.listings].map(([id, { acked }]) => [id, acked]));
      const taken = mode === 'backup' ? await takeBackup(node, file) : undefined;
      if (mode === 'copy') copyAsImage(node, folderCopy);
      await writes(told, 32 + random() * 300);
      await node.stop('SIGKILL');
      load.abort();
      await writing;
      acknowledged += told.writes;
      const held = await heldBy(peer, chat);

      rmSync(node.dir, { recursive: true });
      let restored: RestoreReport | undefined;
      if (taken !== undefined) {
        restored = await restore(node.dir, file);
        if (restored.digest !== taken.digest)
          throw new Error(`digest ${restored.digest}, not ${taken.digest}`);
        // What was acknowledged before it was taken is in it, before any peer is asked.
        await wholeByItself(node.dir);
      } else cpSync(folderCopy, node.dir, { recursive: true });

      node = await federation.start(node.dir);
      const atOnce = nothingAcknowledged();
      const more = new AbortController();
      const writingOn = writeUntil(node, atOnce, more.signal, { inFlight: 8 });
      await writes(atOnce, 20);
      more.abort();
      await writingOn;

      await sameDigest([peer, node], 20_000);
      const now = await waitFor('everything that a peer had', async () => {
        const there = await heldBy(node, chat);
        return held.messages.every((id) => there.messages.includes(id)) && there;
      });
      for (const [name, wanted] of [
        ['acknowledged before', before],
        ['with the peer', held.listings],
      ] as const)
        for (const [id, quantity] of wanted)
          if ((now.listings.get(id) ?? 0) < quantity)
            throw new Error(`listing ${id}: ${quantity} was ${name}, ${now.listings.get(id)} is there`);
      await expectAcknowledged(node, atOnce);
      let epochs = 0;
      for (const holder of [peer, node]) {
        epochs = (await checkFeeds(holder, node.peerId)).epochs.size;
        const { alarms } = await holder.json<{ alarms: { kind: string }[] }>('GET', '/ready');
        const bad = alarms.filter(({ kind }) => kind !== 'own-entries-returned');
        if (bad.length > 0) throw new Error(`alarms: ${JSON.stringify(bad)}`);
      }
      figures = {
        rounds: round,
        acknowledged,
        records: restored?.records ?? 0,
        listings: now.listings.size,
        messages: now.messages.length,
        epochs,
      };
      onDone();
    }
    if (figures === undefined) throw new Error('nothing was done');
    return figures;
  } catch (error) {
    const output = federation.members.map((member) => member.output().slice(-2000)).join('\n---\n');
    throw new Error(`backup campaign failed; run it again with MODE=${mode} SEED=${seed}\n${output}`, {
      cause: error,
    });
  } finally {
    await federation.close();
    away.remove();
  }
}

const writes = (told: { writes: number }, more: number): Promise<true> => {
  const enough = told.writes + more;
  return waitFor('writes to be acknowledged', () => told.writes >= enough, 30_000);
};

async function takeBackup(node: ProcessMember, file: string): Promise<{ digest: string }> {
  const env = { DATA_DIR: node.dir, BACKUP_PASSPHRASE: PASSPHRASE };
  const taken = await agrinetHere(node, ['backup', file, '--with-keys', '--json'], env);
  if (taken.code !== 0) throw new Error(`backup ended with ${taken.code}: ${taken.stderr}`);
  return JSON.parse(taken.stdout) as { digest: string };
}

/** As an image of a machine is: of one instant, the daemon unaware. */
function copyAsImage(node: ProcessMember, to: string): void {
  rmSync(to, { recursive: true, force: true });
  const { pid = 0 } = node.child; // not child.kill: that would count as its end
  process.kill(pid, 'SIGSTOP');
  try {
    cpSync(node.dir, to, { recursive: true });
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** Every signature, chain, value and digest of a folder that no daemon has touched yet. */
async function wholeByItself(dir: string): Promise<void> {
  const { code, stdout, stderr } = await agrinetHere(undefined, ['fsck'], { DATA_DIR: dir });
  if (code !== 0) throw new Error(`fsck after the restore: ${stdout}${stderr}`);
}

async function conversationWith(node: ProcessMember, peer: ProcessMember): Promise<string> {
  const participants = [`mary@${node.peerId}`, `amina@${peer.peerId}`];
  const made = await node.json<{ id: string }>('POST', '/conversations', { title: 'maize', participants });
  await waitFor('the conversation at the peer', async () => {
    const response = await peer.request('GET', `/conversations/${made.id}`);
    await response.arrayBuffer();
    return response.ok;
  });
  return made.id;
}

/** One message after the other, until the signal or the end of the daemon. */
async function chatUntil(
  node: ProcessMember,
  chat: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  for (let n = 1; !signal.aborted && !node.child.killed; n++) {
    try {
      const said = await node.request('POST', `/messages/${chat}`, { content: `${text}.${n}`, from: 'mary' });
      await said.arrayBuffer();
      if (!said.ok) throw new Error(`a message was refused with ${said.status}`);
    } catch (error) {
      if (!node.child.killed && !signal.aborted) throw error;
    }
  }
}

async function heldBy(node: ProcessMember, chat: string): Promise<Held> {
  const { listings } = await node.json<{ listings: { listingId: string; quantity: number }[] }>(
    'GET',
    '/federation/export',
  );
  const messages: string[] = [];
  for (let before = ''; ;) {
    const page = await node.json<{ id: string }[]>('GET', `/messages/${chat}?limit=100${before}`);
    messages.push(...page.map(({ id }) => id));
    const [first] = page;
    if (first === undefined) break;
    before = `&before=${first.id}`;
  }
  return { listings: new Map(listings.map((each) => [each.listingId, each.quantity])), messages };
}

if (import.meta.main) {
  const modes = (['backup', 'copy'] as const).filter((mode) => (process.env['MODE'] ?? mode) === mode);
  // Each mode has half of the rounds, and at least one.
  await runCampaign('backup', 40, async ({ count, seed, onDone }) => {
    const each = Math.max(1, Math.ceil(count / modes.length));
    const figures = [];
    for (const mode of modes)
      figures.push({ mode, ...(await backupCampaign({ count: each, seed, mode, onDone })) });
    return figures;
  });
}
