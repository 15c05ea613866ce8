import type { AttachmentsPort, StoredAttachment } from '../../api/ports/attachments.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { ATTACHMENT_LIMITS, attachmentsOf } from '../../protocols/market/attachment.ts';
import { attachmentType } from '../../protocols/market/attachment-type.ts';
import type { AttachmentRequest } from '../../protocols/mycelium/attachment-protocol.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { type Channel, parseRecordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import type { AttachmentTable } from '../../storage/attachment-table.ts';
import type { Fetches } from './fetches.ts';

export const UPLOAD_LIMITS = {
  /** Uploads of one user that no record names yet: a form with pictures is far below, and a script that fills the disk ends here. */
  unnamed: 32,
} as const;

export interface AttachmentsParts {
  readonly self: PeerId;
  /** For what cannot be undone: what comes now is dropped by this clock. */
  readonly cautious: () => number;
  readonly table: AttachmentTable;
  readonly fetches: Pick<Fetches, 'get'>;
  readonly record: (key: RecordKey) => Promise<RecordState | undefined>;
  readonly mayHold: (peer: string, channel: Channel) => boolean;
  /** Bytes that may still be kept of an author, beside what is charged to it here. */
  readonly room: (author: PeerId) => number;
  /** Why nothing may be written now. */
  readonly refusal: () => AgrinetError | undefined;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

/** What this node keeps of attachments, and whom it gives them to. */
export class Attachments implements AttachmentsPort {
  readonly #parts: AttachmentsParts;
  /** What comes is checked against the room there is and kept one at a time: many at once would each see the same room. */
  readonly #keeping = new SerialQueue();

  constructor(parts: AttachmentsParts) {
    this.#parts = parts;
  }

  upload(
    bytes: Uint8Array,
    userId: string | undefined,
    { isNamed }: Parameters<AttachmentsPort['upload']>[2],
  ): Promise<StoredAttachment> {
    checkSize(bytes);
    return this.#keeping.run(async () => {
      const { self, cautious, table, refusal } = this.#parts;
      const refused = refusal();
      if (refused !== undefined) throw refused;
      const sha256 = sha256Hex(bytes);
      if ((await table.upload(sha256)) === undefined) await this.#checkRoom(self, bytes.length);
      if (
        userId !== undefined &&
        (await table.unnamed(userId, self, UPLOAD_LIMITS.unnamed, sha256)) >= UPLOAD_LIMITS.unnamed
      )
        throw new AgrinetError(
          'attachments-full',
          `${UPLOAD_LIMITS.unnamed} uploads of this user are not used in any listing or message yet; use them, or wait a day until they are deleted`,
        );
      const upload = { sha256, bytes, self, user: userId ?? '', isUsed: isNamed };
      await table.keepUpload(upload, cautious());
      return { sha256, type: attachmentType(bytes), size: bytes.length };
    });
  }

  async uploaded(
    sha256: string,
    caller: Parameters<AttachmentsPort['uploaded']>[1],
  ): Promise<StoredAttachment | undefined> {
    const { table } = this.#parts;
    if (!(await table.claim(sha256, caller))) return undefined;
    const bytes = await table.bytes(sha256);
    return bytes && { sha256, type: attachmentType(bytes), size: bytes.length };
  }

  async read(state: RecordState, sha256: string): Promise<Uint8Array> {
    const { key, channel } = state;
    const owner = ownerOf(key);
    const held = await this.#held(state, owner, sha256);
    if (held !== undefined) return held;
    const { self, cautious, table, fetches, refusal, log } = this.#parts;
    const known = attachmentsOf(state).find((ref) => ref.sha256 === sha256);
    const isNew = owner !== self && !(await table.isHeld(sha256, channel));
    if (isNew) await this.#checkRoom(owner, known?.size ?? ATTACHMENT_LIMITS.attachmentBytes);
    const bytes = await fetches.get({ record: key, sha256, owner, channel });
    if (refusal() !== undefined) return bytes;
    try {
      await this.#keeping.run(async () => {
        if (owner === self) return table.keepOwn(sha256, bytes, self, cautious());
        if (!(await table.isHeld(sha256, channel))) await this.#checkRoom(owner, bytes.length);
        return table.keepFetched(sha256, bytes, { author: owner, channel }, cautious());
      });
    } catch (error) {
      // Whoever asked gets it all the same; the next one has it fetched again.
      log('an attachment was fetched and could not be kept', { err: error, sha256 });
    }
    return bytes;
  }

  async answer(peer: string, { record, sha256 }: AttachmentRequest): Promise<Uint8Array | undefined> {
    const state = await this.#parts.record(record);
    if (!isLive(state) || !attachmentsOf(state).some((ref) => ref.sha256 === sha256)) return undefined;
    if (state.channel !== 'public' && !this.#parts.mayHold(peer, state.channel)) return undefined;
    return this.#held(state, ownerOf(record), sha256);
  }

  /**
   * The bytes, where they are held for this record: whoever names the hash of what was said in private gets none of it for that. Own records
   * name what a user of this node has sent.
   */
  async #held(state: RecordState, owner: PeerId, sha256: string): Promise<Uint8Array | undefined> {
    const { self, table } = this.#parts;
    const isHeld =
      owner === self ? (await table.upload(sha256)) !== undefined : await table.isHeld(sha256, state.channel);
    return isHeld ? table.bytes(sha256) : undefined;
  }

  async #checkRoom(author: PeerId, size: number): Promise<void> {
    const { self, table, room } = this.#parts;
    if ((await table.charged(author)) + table.charge(size) <= room(author)) return;
    throw new AgrinetError(
      'attachments-full',
      author === self
        ? 'the attachments of this node have reached ATTACHMENT_QUOTA_MB; delete listings or messages with attachments, or raise it'
        : 'the node that this attachment is from has reached its quota here; the operator can raise it: agrinet nodes set <node> --quota-mb <MiB>',
    );
  }
}

function checkSize(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new AgrinetError('fields-invalid', 'the attachment is empty');
  if (bytes.length > ATTACHMENT_LIMITS.attachmentBytes) throw attachmentTooLarge();
}

export function attachmentTooLarge(): AgrinetError {
  return new AgrinetError(
    'body-too-large',
    `an attachment may have ${ATTACHMENT_LIMITS.attachmentBytes / 1024} KiB; make the picture smaller`,
  );
}

function ownerOf(key: RecordKey): PeerId {
  const owner = parseRecordKey(key)?.owner;
  if (owner === undefined) throw new AgrinetError('internal', 'a stored record has no owner');
  return owner;
}
