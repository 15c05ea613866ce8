import type { SnapshotsPort } from '../../api/ports/checkpoints.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { Lazy } from '../../protocols/lazy.ts';
import { errorCode } from '../../protocols/errors.ts';
import { type FailureParts, peerFailed } from '../../protocols/mycelium/pull-event.ts';
import { SnapshotAnswers } from '../../protocols/mycelium/snapshot-answer.ts';
import { SnapshotProtocol } from '../../protocols/mycelium/snapshot-protocol.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { FetchedSnapshot } from '../checkpoint/fetched-snapshot.ts';
import type { OpenSnapshots, SnapshotsNode } from '../checkpoint/open-snapshots.ts';
import type { Registration } from '../federation/registration.ts';
import { definePart, type Face } from '../parts.ts';
import type { Node } from './running.ts';

/** Snapshots of checkpoints: served to whoever may read the public feeds, and fetched. */
export interface RunningSnapshots extends SnapshotsPort {
  /** The checkpoint of an author to begin with. Throws `checkpoint-contested`. */
  effective(author: PeerId, signal: AbortSignal): Promise<Checkpoint | undefined>;
  /** The whole snapshot, verified. Throws what `Snapshots.fetch` throws. */
  fetch(checkpoint: Checkpoint, signal: AbortSignal): Promise<FetchedSnapshot>;
}

export function defineSnapshots(
  node: SnapshotsNode & Pick<Node, 'hooks'>,
  registration: Face<Pick<Registration, 'renewCertificate'>>,
) {
  return definePart<RunningSnapshots>('snapshots', async () => {
    const { clock, env, hooks, host, registry, settings } = node;
    const failures: FailureParts = { offences: node.offences, now: clock.steady, onEvent: hooks.pulled.emit };
    // Most of the time nobody asks: what makes snapshots and fetches them is loaded for the first who does.
    const opened: Lazy<OpenSnapshots> = new Lazy(async () => {
      const { openSnapshots } = await import('../checkpoint/open-snapshots.ts');
      return openSnapshots(node, { registration, failures, streams });
    });
    const answers = new SnapshotAnswers(env, {
      checkpoints: async (author) => (await opened.get()).source.checkpoints(author),
      open: async (...list) => (await opened.get()).source.open(...list),
    });
    const streams = new SnapshotProtocol(
      {
        env,
        libp2p: host.streams,
        access: { mayReplicate: (peer) => registry.isActive(peer) },
        answers,
        onFailure: (peer, error) => peerFailed(failures, peer, errorCode(error)),
      },
      settings.myceliumNetwork,
    );
    hooks.committed.on('snapshots', ({ erased = [] }) => {
      const authors = new Set(erased.flatMap((key) => parseRecordKey(key)?.owner ?? []));
      if (authors.size > 0) void opened.get().then(({ snapshots }) => snapshots.erased(authors));
    });
    await streams.start();
    return {
      face: {
        frames: (...asked) => answers.frames(...asked),
        effective: async (...of) => (await opened.get()).snapshots.effective(...of),
        fetch: async (...of) => (await opened.get()).snapshots.fetch(...of),
      },
      async stop() {
        await streams.stop();
        if (!opened.isAsked) return;
        const open = await opened.get().catch(() => undefined);
        await open?.snapshots.stop();
        await open?.source.stop();
      },
    };
  });
}
