import { AgrinetError } from '../errors.ts';
import { ATTACHMENT_LIMITS, isAttachmentHash } from '../market/attachment.ts';
import { fromHex, hex } from '../wire/bytes.ts';
import { bytesOf, decodeCbor, encodeCbor, mapOf } from '../wire/cbor.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import type { FramedStream } from '../wire/framed-stream.ts';
import type { PeerConnection } from '../wire/stream.ts';
import { RequestStreams, type RequestStreamsParts } from './request-streams.ts';

/**
 * Attachments, `/agrinet/<network>/attachment/1`: the asker sends one frame, a map of a record's key and the hash that the record names, and
 * closes its side; the answer is one frame with the bytes, an empty one where the holder does not have them or does not give them to this
 * asker. Guaranteed: nothing, since the asker compares the hash. Bytes that a private record names go to participants of its channel alone.
 */
export const ATTACHMENT_STREAM_LIMITS = {
  /** The request: a record key of 160 characters, a hash, and two names. */
  requestBytes: 256,
  /** The answer: one attachment. */
  answerBytes: ATTACHMENT_LIMITS.attachmentBytes,
  /** The whole exchange, milliseconds: a megabyte over a mobile connection. */
  exchangeMs: 20_000,
  /** Per connection, both ways. */
  streams: 8,
  /** Answers under way in total: each holds its bytes. */
  answering: 16,
  /** Of them for one peer. */
  answeringPerPeer: 4,
  /** Beyond the first of each peer, for all peers together. */
  further: 8,
} as const;

/** What is asked for: bytes with this hash, because this record names them. */
export interface AttachmentRequest {
  readonly record: RecordKey;
  /** SHA-256, hex. */
  readonly sha256: string;
}

export function encodeAttachmentRequest({ record, sha256 }: AttachmentRequest): Uint8Array {
  return encodeCbor({ record, hash: fromHex(sha256) });
}

/** Reads a request strictly. Throws `attachment-malformed` or `not-canonical`. */
export function decodeAttachmentRequest(data: Uint8Array): AttachmentRequest {
  const map =
    data.length > ATTACHMENT_STREAM_LIMITS.requestBytes
      ? undefined
      : mapOf(decodeCbor(data), ['record', 'hash']);
  const hash = bytesOf(map?.hash, 32);
  const request = map && hash && attachmentRequest(map.record, hex(hash));
  if (request === undefined)
    throw new AgrinetError('attachment-malformed', 'malformed request for an attachment');
  return request;
}

/** A request as it stands in a path and its query; undefined for what is none. */
export function attachmentRequest(record: unknown, sha256: unknown): AttachmentRequest | undefined {
  if (parseRecordKey(record) === undefined || !isAttachmentHash(sha256)) return undefined;
  return { record: record as RecordKey, sha256 }; // it was just parsed
}

export interface AttachmentProtocolParts extends RequestStreamsParts {
  /** What this peer may have; undefined for all else, whether it is here or not. */
  readonly answer: (peer: string, request: AttachmentRequest) => Promise<Uint8Array | undefined>;
}

const NOT_HERE = new Uint8Array(0);

/** Asks for attachments and gives them. */
export class AttachmentProtocol {
  readonly #parts: AttachmentProtocolParts;
  readonly #streams: RequestStreams;

  constructor(parts: AttachmentProtocolParts, network: string) {
    this.#parts = parts;
    this.#streams = new RequestStreams(parts, {
      id: `/agrinet/${network}/attachment/1`,
      limits: ATTACHMENT_STREAM_LIMITS,
      frameBytes: ATTACHMENT_STREAM_LIMITS.answerBytes,
      serve: (frames, peer) => this.#serve(frames, peer),
    });
  }

  start(): Promise<void> {
    return this.#streams.start();
  }

  stop(): Promise<void> {
    return this.#streams.stop();
  }

  /** The bytes as a peer gives them, which its caller holds against the hash; undefined when it gives none. */
  async ask(
    connection: PeerConnection,
    request: AttachmentRequest,
    outer: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const { exchangeMs } = ATTACHMENT_STREAM_LIMITS;
    const whole = this.#streams.within(exchangeMs, outer);
    const asked = encodeAttachmentRequest(request);
    let bytes: Uint8Array | undefined;
    for await (const frame of this.#streams.ask(connection, asked, exchangeMs, whole)) {
      if (bytes !== undefined)
        throw new AgrinetError('attachment-malformed', 'more than one frame came for an attachment');
      bytes = frame;
    }
    if (bytes === undefined) throw new AgrinetError('stream-truncated', 'the stream ended too early');
    return bytes.length === 0 ? undefined : bytes;
  }

  async #serve(frames: FramedStream, peer: string): Promise<void> {
    const whole = this.#streams.within(ATTACHMENT_STREAM_LIMITS.exchangeMs);
    const request = decodeAttachmentRequest(await frames.readNext(whole));
    await frames.write((await this.#parts.answer(peer, request)) ?? NOT_HERE, whole);
    await frames.close(whole);
  }
}
