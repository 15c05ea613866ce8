import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { FramedStream } from '../wire/framed-stream.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { AnswerSlots, howFailed } from './answer-slots.ts';
import {
  ATTACHMENT_STREAM_LIMITS,
  type AttachmentRequest,
  decodeAttachmentRequest,
  encodeAttachmentRequest,
} from './attachment-request.ts';
import type { Access } from './ports.ts';

export interface AttachmentProtocol {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The bytes as a peer gives them, which its caller holds against the hash; undefined when it gives none. */
  ask(
    connection: PeerConnection,
    request: AttachmentRequest,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined>;
}

export interface AttachmentProtocolParts {
  readonly env: Pick<Env, 'deadline'>;
  readonly libp2p: StreamHost;
  readonly access: Pick<Access, 'mayReplicate'>;
  /** What this peer may have; undefined for all else, whether it is here or not. */
  readonly answer: (peer: string, request: AttachmentRequest) => Promise<Uint8Array | undefined>;
  readonly onFailure: (peer: string, error: unknown) => void;
}

/** Asks for attachments and gives them; what that is is told in `attachment-request.ts`. */
export function createAttachmentProtocol(
  parts: AttachmentProtocolParts,
  network: string,
): AttachmentProtocol {
  return new AttachmentStreams(parts, `/agrinet/${network}/attachment/1`);
}

const NOT_HERE = new Uint8Array(0);

class AttachmentStreams implements AttachmentProtocol {
  readonly #parts: AttachmentProtocolParts;
  readonly #protocol: string;
  readonly #slots = new AnswerSlots(ATTACHMENT_STREAM_LIMITS);
  #stopping = new AbortController();

  constructor(parts: AttachmentProtocolParts, protocol: string) {
    this.#parts = parts;
    this.#protocol = protocol;
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController();
    const { streams } = ATTACHMENT_STREAM_LIMITS;
    await this.#parts.libp2p.handle(
      this.#protocol,
      (stream, connection) => this.#answer(stream, connection),
      { maxInboundStreams: streams, maxOutboundStreams: streams },
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#parts.libp2p.unhandle(this.#protocol);
  }

  async ask(
    connection: PeerConnection,
    request: AttachmentRequest,
    outer: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const signal = this.#bounded(outer);
    const stream = await connection.newStream(this.#protocol, { signal });
    const frames = new FramedStream(stream, {
      maxFrame: ATTACHMENT_STREAM_LIMITS.answerBytes,
      maxSent: ATTACHMENT_STREAM_LIMITS.requestBytes,
    });
    try {
      await frames.write(encodeAttachmentRequest(request), signal);
      await frames.close(signal);
      const bytes = await frames.readNext(signal);
      if ((await frames.read(signal)) !== null)
        throw new AgrinetError('attachment-malformed', 'more than one frame came for an attachment');
      return bytes.length === 0 ? undefined : bytes;
    } catch (error) {
      frames.abort(error instanceof Error ? error : new AgrinetError('internal', 'not an error'));
      throw error;
    }
  }

  #bounded(outer?: AbortSignal): AbortSignal {
    const deadline = this.#parts.env.deadline(ATTACHMENT_STREAM_LIMITS.exchangeMs);
    return AbortSignal.any([this.#stopping.signal, deadline, ...(outer === undefined ? [] : [outer])]);
  }

  async #answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const { access, onFailure } = this.#parts;
    const peer = connection.remotePeer.toString();
    const frames = new FramedStream(stream, {
      maxFrame: ATTACHMENT_STREAM_LIMITS.requestBytes,
      maxSent: ATTACHMENT_STREAM_LIMITS.answerBytes,
    });
    if (!access.mayReplicate(peer))
      return frames.abort(new AgrinetError('not-registered', 'not registered here'));
    const release = this.#slots.take(peer);
    if (release === undefined) return frames.abort(new AgrinetError('busy', 'too many answers under way'));
    try {
      await this.#serve(frames, peer);
      release('taken');
    } catch (error) {
      const how = howFailed(error);
      release(how);
      frames.abort(error instanceof Error ? error : new AgrinetError('internal', 'not an error'));
      onFailure(
        peer,
        how === 'slow'
          ? new AgrinetError('answer-slow', 'it took its answer too slowly', { cause: error })
          : error,
      );
    }
  }

  async #serve(frames: FramedStream, peer: string): Promise<void> {
    const signal = this.#bounded();
    const request = decodeAttachmentRequest(await frames.readNext(signal));
    await frames.write((await this.#parts.answer(peer, request)) ?? NOT_HERE, signal);
    await frames.close(signal);
  }
}
