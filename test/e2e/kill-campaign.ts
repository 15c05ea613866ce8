/**
 * Kills a writing daemon with SIGKILL again and again on the same folder, while listings are written and a user of it trades with one of its peer:
 * contracts, ratings, messages, erasures. After each death it starts again, has every acknowledged write, feeds that hold together, and
 * agrees with its peer; in the end `fsck` finds nothing, and a rebuild gives the same digest. By itself:
 * `COUNT=100 SEED=7 node test/e2e/kill-campaign.ts`; the test runs the same with less.
 */
import { runCampaign } from '../support/campaign.ts';
import { agrinet } from '../support/cli.ts';
import { digestOf, ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { checkFeeds } from '../support/feed-check.ts';
import { expectAcknowledged, nothingAcknowledged, writeUntil } from '../support/load.ts';
import { TradeLoad } from '../support/trade-load.ts';
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
  readonly trades: number;
  readonly ratings: number;
  readonly messages: number;
  readonly erasures: number;
}

/** Throws when an acknowledged write is gone, a feed breaks or forks, the node does not start, the peer disagrees, or `fsck` finds something. */
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
    const trades = await TradeLoad.begin(writer, peer);
    let figures: KillFigures | undefined;
    for (let kill = 1; kill <= count; kill++) {
      const load = new AbortController();
      const writing = Promise.all([
        writeUntil(writer, told, load.signal, { inFlight: 32 }),
        trades.run(writer, load.signal),
      ]);
      // The moment of death is what varies: so many writes, and then somewhere between two batches.
      const enough = told.writes + 64 + random() * 400;
      // Two trades of five steps each run at a time: most lives end in the middle of both, every fifth sees one to its rating.
      const steps = trades.steps + random() * 8;
      const ratings = trades.counts.ratings + (kill % 5 === 0 ? 1 : 0);
      await waitFor(
        'writes to be acknowledged',
        () => told.writes >= enough && trades.steps >= steps && trades.counts.ratings >= ratings,
        LIFE_MS,
      );
      await new Promise((next) => setTimeout(next, random() * 30));
      await writer.stop('SIGKILL');
      load.abort();
      await writing;
      if (kill % FSCK_EVERY === 0 || kill === count) await fsck(writer);

      writer = await federation.start(writer.dir);
      const listings = await expectAcknowledged(writer, told);
      await trades.expectThere(writer);
      await checkFeeds(writer, writer.peerId);
      await sameDigest([peer, writer], 20_000);
      const { epochs, entries } = await checkFeeds(peer, writer.peerId);
      for (const daemon of [peer, writer]) {
        const { alarms } = await daemon.json<{ alarms: { kind: string }[] }>('GET', '/ready');
        if (alarms.length > 0) throw new Error(`alarms: ${JSON.stringify(alarms)}`);
      }
      const { counts } = trades;
      figures = { kills: kill, acknowledged: told.writes, listings, epochs: epochs.size, entries, ...counts };
      onDone();
    }
    await expectSameRebuilt(federation, writer, peer);
    await trades.expectThere(federation.members.find(({ dir }) => dir === writer.dir) ?? writer);
    if (figures === undefined || told.writes < count) throw new Error('the load wrote next to nothing');
    return figures;
  } catch (error) {
    const output = federation.members.map((member) => member.output().slice(-2000)).join('\n---\n');
    throw new Error(`kill campaign failed; run it again with SEED=${seed}\n${output}`, { cause: error });
  } finally {
    await federation.close();
  }
}

/** Beyond it a life gets nowhere: on a busy machine one step of a trade may take seconds. */
const LIFE_MS = 120_000;
/** So many deaths between two looks at the whole database. */
const FSCK_EVERY = 10;

async function offline(writer: ProcessMember, command: string): Promise<void> {
  const { code, stdout, stderr } = await agrinet(undefined, [command], { DATA_DIR: writer.dir });
  if (code !== 0) throw new Error(`agrinet ${command} ended with ${code}: ${stdout}${stderr}`);
}

const fsck = (writer: ProcessMember): Promise<void> => offline(writer, 'fsck');

/** Everything derived anew gives the same as before, and as at the peer, where nothing was. A start writes of itself, so it is not the whole digest. */
async function expectSameRebuilt(
  federation: ProcessFederation,
  writer: ProcessMember,
  peer: ProcessMember,
): Promise<void> {
  const of = async (member: ProcessMember): Promise<string> => {
    const { listings, ratings } = (await digestOf(member)).owners[writer.peerId]?.collections ?? {};
    return JSON.stringify({ listings, ratings });
  };
  const before = await of(writer);
  await writer.stop();
  for (const command of ['fsck', 'rebuild', 'fsck']) await offline(writer, command);
  const again = await federation.start(writer.dir);
  const after = await of(again);
  if (after !== before) throw new Error(`after a rebuild there is ${after}, it was ${before}`);
  await sameDigest([peer, again], 20_000);
}

if (import.meta.main) await runCampaign('kill', 100, killCampaign);
