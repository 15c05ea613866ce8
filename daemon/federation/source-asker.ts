import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { REQUEST_HEADER } from '../../protocols/mycelium/signed-request.ts';
import type { SyncSource } from '../../api/ports/exchange.ts';
import type { GuardedAnswer } from './guarded-fetch.ts';
import type { SyncParts } from './sync-parts.ts';

/** One question to a source. */
export interface Question {
  readonly path: string;
  /** With a body it is a POST. */
  readonly body?: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** For the whole answer. */
  readonly timeoutMs: number;
  /** Silence that ends the request. */
  readonly idleMs: number;
  readonly maxBytes: number;
}

/** Asks one source with signed requests, and takes over a certificate that its node key vouches for. */
export class SourceAsker {
  readonly #parts: Pick<SyncParts, 'target' | 'fetch'>;
  readonly #source: Extract<SyncSource, { kind: 'agrinetd' }>;
  readonly #signal: AbortSignal;
  #pin: string;

  constructor(
    parts: Pick<SyncParts, 'target' | 'fetch'>,
    source: Extract<SyncSource, { kind: 'agrinetd' }>,
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#source = source;
    this.#signal = signal;
    this.#pin = source.tlsFingerprint;
  }

  /** An answer of status 200 or 304. Throws `peer-refused` for another, and what the guarded fetch and the target throw. */
  async ask(question: Question): Promise<GuardedAnswer> {
    this.#signal.throwIfAborted();
    const { id, url } = this.#source;
    let answer: GuardedAnswer;
    try {
      answer = await this.#once(question);
    } catch (error) {
      if (errorCode(error) !== 'certificate-changed') throw error;
      this.#pin = await this.#parts.target.renewCertificate(id);
      answer = await this.#once(question);
    }
    if (answer.status !== 200 && answer.status !== 304) {
      await answer.bytes().catch(() => undefined); // only so that the connection is free again
      throw new AgrinetError('peer-refused', `${url} answered with status ${answer.status}`);
    }
    return answer;
  }

  async #once({ path, body, headers, ...limits }: Question): Promise<GuardedAnswer> {
    const { target, fetch } = this.#parts;
    const { id, url } = this.#source;
    const method = body === undefined ? 'GET' : 'POST';
    return fetch(`${url}${path}`, {
      method,
      headers: { ...headers, [REQUEST_HEADER]: await target.signRequest(id, method, path) },
      ...(body === undefined ? {} : { body }),
      ...(this.#pin === '' ? {} : { pin: this.#pin }),
      ...limits,
      signal: this.#signal,
    });
  }
}
