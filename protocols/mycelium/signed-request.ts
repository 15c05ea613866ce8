import { AgrinetError } from '../errors.ts';
import { base64url, fromBase64url } from '../wire/bytes.ts';
import { encodeCbor } from '../wire/cbor.ts';
import { type EnvelopeType, signEnvelope } from '../wire/envelope.ts';
import { type Identity, parsePeerId, type PeerId } from '../wire/identity.ts';
import { checkTime, verifySignedMap } from '../wire/signed-map.ts';
import { Counts } from '../counts.ts';

/** Header of a request that a node signs, as base64url of an envelope over {v, net, caller, receiver, method, path, time, nonce}. */
export const REQUEST_HEADER = 'x-agrinet-request';

/** A request's own domain string: no other signature of a node can be passed off as one. */
const REQUEST_ENVELOPE: EnvelopeType = {
  domain: 'agrinet-request',
  payloadType: new TextEncoder().encode('/agrinet/request/1'),
};

export const REQUEST_LIMITS = {
  /** Requests older or newer than this are refused. */
  windowMs: 5 * 60 * 1000,
  /** The header: with the longest query that holds a range, all heads of a request are below the 16 KiB that a server reads. */
  headerCharacters: 8192,
  /** A range request in a query, base64url: it is in the path and, signed, once more in the header. A longer one is posted. */
  haveCharacters: 4096,
  /** Nonces remembered; a flood beyond it is refused, not forgotten. */
  nonces: 65_536,
  /** Of one caller, so that it shuts out nobody else. */
  noncesPerCaller: 4096,
} as const;

const KEYS = ['v', 'net', 'caller', 'receiver', 'method', 'path', 'time', 'nonce'] as const;

export interface RequestToSign {
  readonly net: string;
  readonly receiver: PeerId;
  readonly method: string;
  /** Path and query behind the receiver's registered URL. */
  readonly path: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** 16 random bytes. */
  readonly nonce: Uint8Array;
}

/** The header's value. */
export function signRequest(identity: Identity, request: RequestToSign): string {
  const { net, receiver, method, path, time, nonce } = request;
  const payload = { v: 1, net, caller: identity.peerId, receiver, method, path, time, nonce };
  return base64url(signEnvelope(identity, REQUEST_ENVELOPE, encodeCbor(payload)));
}

/** Verifies a header for the request with which it was received. Throws `request-unsigned` with the reason. */
export function verifyRequest(
  header: string,
  expected: { net: string; receiver: PeerId; method: string; path: string; now: number },
): { readonly caller: PeerId; readonly nonce: string; readonly time: number } {
  const invalid = (why: string, cause?: unknown): AgrinetError =>
    new AgrinetError('request-unsigned', `signed request: ${why}`, { cause });
  if (header.length > REQUEST_LIMITS.headerCharacters) throw invalid('too long');
  const bytes = fromBase64url(header);
  if (bytes === undefined) throw invalid('not base64url');
  const { author, map, nonce, time } = verifySignedMap(REQUEST_ENVELOPE, KEYS, bytes, invalid);
  if (parsePeerId(map.caller) !== author) throw invalid('not signed by the caller');
  if (map.net !== expected.net) throw invalid('made for another network');
  if (map.receiver !== expected.receiver) throw invalid('addressed to another node');
  if (map.method !== expected.method || map.path !== expected.path)
    throw invalid('made for another method or path');
  checkTime(time, expected.now, REQUEST_LIMITS.windowMs, invalid);
  return { caller: author, nonce, time };
}

/** Nonces of requests that were answered: each counts once, for as long as its time could still pass. */
export class RequestNonces {
  readonly #until = new Map<string, number>();
  readonly #ofCaller = new Counts<string>();

  /** Throws `request-unsigned` for one used before, `busy` when there is no room to remember it. */
  use(caller: PeerId, nonce: string, now: number): void {
    for (const [id, until] of this.#until) {
      if (until > now) break;
      this.#forget(id);
    }
    const id = `${caller}|${nonce}`;
    if (this.#until.has(id)) throw new AgrinetError('request-unsigned', 'signed request: used before');
    const { nonces, noncesPerCaller } = REQUEST_LIMITS;
    if (this.#until.size >= nonces || this.#ofCaller.of(caller) >= noncesPerCaller)
      throw new AgrinetError('busy', 'too many signed requests at once; try again in ten minutes');
    this.#until.set(id, now + 2 * REQUEST_LIMITS.windowMs);
    this.#ofCaller.add(caller);
  }

  #forget(id: string): void {
    this.#until.delete(id);
    this.#ofCaller.add(id.slice(0, id.indexOf('|')), -1);
  }
}
