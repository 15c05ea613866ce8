/**
 * Kills a writing daemon with SIGKILL again and again on the same folder. After each death it starts again, has every
 * acknowledged write, feeds that hold together, and agrees with its peer. By itself:
 * `COUNT=100 SEED=7 node test/e2e/kill-campaign.ts`; the test runs the same with less.
 */
import { runCampaign } from '../support/campaign.ts';
import { ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { checkFeeds } from '../support/feed-check.ts';
import { expectAcknowledged, nothingAcknowledged, writeUntil } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';
import { seededRandom } from '../support/random.ts';

export interface KillOptions {
  readonly count: number;
  readonly seed: number;
  readonly onDone?: () => void;
}

export interface KillFigures {
  readonly kills: number;
  readonly acknowledged: number;
  readonly listings: number;
  readonly epochs: number;
  readonly entries: number;
}

/** Throws when an acknowledged write is gone, a feed breaks or forks, the node does not start, or the peer disagrees. */
export async function killCampaign({
  count,
  seed,
  onDone = () => undefined,
}: KillOptions): Promise<KillFigures> {
  const random = seededRandom(seed);
  const federation = new ProcessFederation();
  const told = nothingAcknowledged();
  try {
    const peer = await federation.add();
    let writer: ProcessMember = await federation.add();
    await federation.registerAll();
    let figures: KillFigures | undefined;
    for (let kill = 1; kill <= count; kill++) {
      const load = new AbortController();
      const writing = writeUntil(writer, told, load.signal);
      // The moment of death is what varies: so many writes, and then somewhere between two batches.
      const enough = told.writes + 64 + random() * 400;
      await waitFor('writes to be acknowledged', () => told.writes >= enough, 20_000);
      await new Promise((next) => setTimeout(next, random() * 30));
      await writer.stop('SIGKILL');
      load.abort();
      await writing;

      writer = await federation.start(writer.dir);
      const listings = await expectAcknowledged(writer, told);
      await checkFeeds(writer, writer.peerId);
      await sameDigest([peer, writer], 20_000);
      const { epochs, entries } = await checkFeeds(peer, writer.peerId);
      for (const daemon of [peer, writer]) {
        const { alarms } = await daemon.json<{ alarms: { kind: string }[] }>('GET', '/ready');
        if (alarms.length > 0) throw new Error(`alarms: ${JSON.stringify(alarms)}`);
      }
      figures = { kills: kill, acknowledged: told.writes, listings, epochs: epochs.size, entries };
      onDone();
    }
    if (figures === undefined || told.writes < count) throw new Error('the load wrote next to nothing');
    return figures;
  } catch (error) {
    const output = federation.members.map((member) => member.output().slice(-2000)).join('\n---\n');
    throw new Error(`kill campaign failed; run it again with SEED=${seed}\n${output}`, { cause: error });
  } finally {
    await federation.close();
  }
}

if (import.meta.main) await runCampaign('kill', 100, killCampaign);
