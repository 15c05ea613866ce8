import { draftFact } from '../../ledger/drafts.ts';
import type { RecordState } from '../../open-dialog/record.ts';
import { base64url } from '../../wire/bytes.ts';
import { parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import { scalarsOf } from '../record-fields.ts';
import { nodeOf, parseParty } from '../party.ts';
import type { HeldContracts } from './held-contracts.ts';
import type { Body, BookParts, BookReader, HeldContract } from './types.ts';

/** News shown with a contract. */
const PINGS = 100;

/** Whether a ping is by the party it names: a node speaks for its own users only. */
export function isPingOf({ contract }: HeldContract, { key, view }: RecordState): boolean {
  const from = String(view['from'] ?? '');
  return contract.parties.includes(from) && nodeOf(from) === parseRecordKey(key)?.owner;
}

/** The newest news of a contract. */
export async function newsOf(reader: BookReader, held: HeldContract): Promise<RecordState[]> {
  const pings = await reader.newestInChannel('pings', held.state.key, PINGS);
  return pings.filter((ping) => isPingOf(held, ping));
}

/** Writes news of a party, once for each nonce. */
export async function writeNews(
  { reader, ledger, now, bytes }: Pick<BookParts, 'reader' | 'ledger' | 'now' | 'bytes'>,
  { locks }: HeldContracts,
  key: RecordKey,
  from: string,
  body: Body,
  nonce = base64url(bytes(12)),
): Promise<void> {
  await locks.run(key, async () => {
    const repeated = (await reader.newestInChannel('pings', key, PINGS)).some(
      ({ view }) => view['nonce'] === nonce && view['from'] === from,
    );
    if (repeated) return;
    // Missing values are null: an absent field is not a scalar.
    const { status = null, percentComplete = null, notes = null, attachments = null } = body;
    const said = scalarsOf('pings', { status, percentComplete, notes, attachments });
    const fields = { ...said, from, sentAt: now(), nonce };
    await ledger.write({ keys: [key], draft: (writer) => [draftFact(writer, 'pings', fields, key)] });
  });
}

/** Notifies the parties on this node of a progress report. */
export async function notifyOfPing(
  { onPing }: Pick<BookParts, 'onPing'>,
  contracts: HeldContracts,
  ping: RecordState,
): Promise<void> {
  const held = await contracts.load(ping.channel as RecordKey); // a fact of a contract's channel
  if (held === undefined || !isPingOf(held, ping)) return;
  for (const party of held.contract.parties) {
    const { user, node } = parseParty(party) ?? {};
    if (user !== undefined && node === contracts.self) onPing(user, held.state.key, ping);
  }
}
