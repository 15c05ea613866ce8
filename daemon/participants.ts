import type { RecordChange } from '../protocols/ledger/ports.ts';
import type { Membership } from '../protocols/open-dialog/record.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel } from '../protocols/wire/ids.ts';
import type { Store } from '../storage/store.ts';

/** Who takes part in each private channel held here, in memory: needed for every frontier and range. */
export interface Participants {
  load(store: Store): Promise<void>;
  note(changes: readonly RecordChange[]): void;
  mayHold(peer: string, channel: Channel): boolean;
  others(channel: Channel): readonly string[];
}

export function createParticipants(self: PeerId): Participants {
  const members = new Map<string, Membership>();
  return {
    async load(store) {
      for (const { channel } of store.feedGroups()) {
        if (channel === 'public') continue;
        const [state] = await store.records([channel]);
        if (state?.members !== undefined) members.set(channel, state.members);
      }
    },
    note(changes) {
      for (const { key, after } of changes) if (after.members !== undefined) members.set(key, after.members);
    },
    mayHold: (peer, channel) => members.get(channel)?.participants.some((p) => p === peer) ?? false,
    others: (channel) => members.get(channel)?.participants.filter((p) => p !== self) ?? [],
  };
}
