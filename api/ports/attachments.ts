import type { AttachmentRef } from '../../protocols/market/attachment.ts';
import type { AttachmentRequest } from '../../protocols/mycelium/attachment-protocol.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';

/** Bytes that are stored here. */
export type StoredAttachment = Pick<AttachmentRef, 'sha256' | 'type' | 'size'>;

/** Attachments of this node and, on demand, of others. */
export interface AttachmentsPort {
  /**
   * Keeps bytes of a user, or of the operator without one; on the disk when it resolves. `isNamed`: in the same request, so that nothing waits
   * for another. Throws `attachments-full`, `disk-full`.
   */
  upload(
    bytes: Uint8Array,
    userId: string | undefined,
    { isNamed }: { readonly isNamed: boolean },
  ): Promise<StoredAttachment>;
  /** An upload that this user may name, the operator any, and is about to; undefined for all else. */
  uploaded(
    sha256: string,
    caller: { readonly user?: string | undefined; readonly operator: boolean },
  ): Promise<StoredAttachment | undefined>;
  /** The bytes that a record names, fetched where they are not here. Throws `attachment-unavailable`, `attachments-full`, `busy`. */
  read(record: RecordState, sha256: string): Promise<Uint8Array>;
  /** What another node may have of what is here; undefined for all else, whether it is here or not. */
  answer(peer: string, request: AttachmentRequest): Promise<Uint8Array | undefined>;
}
