import type { AskedSource, SignedRequest, SyncSource } from '../../api/ports/sync-target.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { AttachmentRequest } from '../../protocols/mycelium/attachment-protocol.ts';
import { encodeRangeRequest, type RangeRequest } from '../../protocols/mycelium/range.ts';
import { REQUEST_LIMITS, signRequest } from '../../protocols/mycelium/signed-request.ts';
import { encodeSnapshotRequest, type SnapshotRequest } from '../../protocols/mycelium/snapshot-request.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import type { Identity } from '../../protocols/wire/identity.ts';

export interface FeedRequestsParts {
  readonly env: Pick<Env, 'bytes'>;
  readonly identity: Identity;
  readonly net: string;
  /** Whether a source is left alone for what it has sent. */
  readonly isDistrusted: (id: string) => boolean;
  readonly now: () => number;
}

type Agrinetd = Extract<SyncSource, { kind: 'agrinetd' }>;

/** Signs requests to registered nodes for their feeds, attachments and snapshots: a caller gets one of these, and never a signature over a path of its own. */
export class FeedRequests {
  readonly #parts: FeedRequestsParts;

  constructor(parts: FeedRequestsParts) {
    this.#parts = parts;
  }

  /** Throws `peer-distrusted`. */
  frontier(source: Agrinetd): Extract<AskedSource, { kind: 'agrinetd' }> {
    return { ...source, request: this.#signed(source, { method: 'GET', path: '/federation/feeds' }) };
  }

  /** One too long for a query is posted. Throws `peer-distrusted`. */
  range(source: Agrinetd, request: RangeRequest): SignedRequest {
    const encoded = encodeRangeRequest(request);
    const have = base64url(encoded);
    const query = new URLSearchParams({ channel: request.channel });
    const path = (): string => `/federation/feeds/${request.author}?${query.toString()}`;
    if (have.length > REQUEST_LIMITS.haveCharacters)
      return this.#signed(source, { method: 'POST', path: path(), body: encoded });
    query.set('have', have);
    return this.#signed(source, { method: 'GET', path: path() });
  }

  /** For what a record of that node, or of another, names. Throws `peer-distrusted`. */
  attachment(source: Agrinetd, { record, sha256 }: AttachmentRequest): SignedRequest {
    const query = new URLSearchParams({ record });
    return this.#signed(source, {
      method: 'GET',
      path: `/federation/attachments/${sha256}?${query.toString()}`,
    });
  }

  /** For the snapshot of a checkpoint that it holds. Throws `peer-distrusted`. */
  snapshot(source: Agrinetd, request: SnapshotRequest): SignedRequest {
    const query = new URLSearchParams({ request: base64url(encodeSnapshotRequest(request)) });
    return this.#signed(source, {
      method: 'GET',
      path: `/federation/snapshots/${request.author}?${query.toString()}`,
    });
  }

  #signed({ id, url }: Agrinetd, request: Omit<SignedRequest, 'header'>): SignedRequest {
    const { env, identity, net, isDistrusted, now } = this.#parts;
    if (isDistrusted(id))
      throw new AgrinetError(
        'peer-distrusted',
        `${url} sent invalid data and is ignored for a while; see agrinet status`,
      );
    const { method, path } = request;
    const nonce = env.bytes(16);
    return {
      ...request,
      header: signRequest(identity, { net, receiver: id, method, path, time: now(), nonce }),
    };
  }
}
