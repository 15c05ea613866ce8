import { PENDING_SHARE } from '../../../protocols/feed/quota.ts';
import { roomierQuota } from '../../alarms.ts';
import type { OnlineFacts } from '../facts.ts';
import { isoTime } from '../../../protocols/wire/iso-time.ts';
import { type Finding, finding, firstOf, harmless } from '../finding.ts';

/** An author is reported from this share of its quota on: there is still time to decide. */
const NEAR = 0.9;
const MIB = 1024 * 1024;

/** Authors whose entries are close to their quota, or beyond it. */
export function checkQuotas({ quotas }: OnlineFacts): Finding[] {
  return firstOf(
    quotas.flatMap(({ id, label, usage, quotaMb, pendingOps }): Finding[] => {
      const { bytes, pending, pendingBytes } = usage;
      const most = quotaMb === 0 ? Infinity : quotaMb * MIB;
      const isFull = Math.max(bytes / most, (PENDING_SHARE * pendingBytes) / most) >= NEAR;
      const hasMany = pendingOps !== 0 && pending / pendingOps >= NEAR;
      if (!isFull && !hasMany) return [];
      const about = {
        subject: id,
        message: `${label} uses ${Math.round(bytes / MIB)} of ${quotaMb} MiB, ${Math.round(pendingBytes / MIB)} MiB of them in ${pending} pending ops; over its quota, no more of its entries are accepted. If you do not want them: agrinet suspend ${id}`,
      };
      return [
        isFull
          ? finding('author-near-quota', {
              ...about,
              values: { node: id, mb: String(roomierQuota(usage)) },
            })
          : finding('author-many-waiting', { ...about, values: { ops: String(2 * pendingOps) } }),
      ];
    }),
  );
}

/** Entries that the operator had forgotten, which is no damage. Once the node is followed again, missing entries are reported as for any other. */
export function checkForgotten({ forgotten }: OnlineFacts): Finding[] {
  return firstOf(
    forgotten
      .filter(({ active }) => !active)
      .map(({ id, label, entries, keptEntries, since }) => {
        const kept =
          keptEntries === 0
            ? ''
            : `; ${keptEntries} are kept because records of this node's users depend on them`;
        const message = `${entries} entries of ${label} were forgotten on ${isoTime(since)}${kept}`;
        return finding('entries-forgotten', { subject: id, message, values: { node: id } });
      }),
  );
}

/** Feeds of this node of which a connected peer accepts nothing more. */
export function checkStalls({ stalls, nodes }: OnlineFacts): Finding[] {
  return firstOf(
    stalls.map(({ peer, channel, epoch, there, here, sinceMs }) => {
      const label = nodes.find(({ id }) => id === peer)?.label ?? peer;
      const message = `${label} has been stuck at entry ${there} of ${here} of this node's feed ${harmless(channel)} ${epoch} for ${Math.floor(sinceMs / 60_000)} minutes`;
      return finding('feed-stalled', { subject: peer, message, values: { node: peer } });
    }),
  );
}
