import type { AskedSource, SignedRequest, SyncTarget } from '../../api/ports/sync-target.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { REQUEST_HEADER } from '../../protocols/mycelium/signed-request.ts';
import type { GuardedAnswer, GuardedFetch, GuardedRequest } from './guarded-fetch.ts';

export interface SourceAskerParts {
  readonly target: Pick<SyncTarget, 'renewCertificate'>;
  readonly fetch: GuardedFetch;
}

/** Limits of one question, and its headers but the signature. */
export type Question = Required<
  Pick<GuardedRequest, 'headers' | 'timeoutMs' | 'idleMs' | 'maxBytes' | 'signal'>
>;

/** Asks one source with signed requests, and takes over a certificate that its node key vouches for. */
export class SourceAsker {
  readonly #parts: SourceAskerParts;
  readonly #source: Extract<AskedSource, { kind: 'agrinetd' }>;
  #pin: string;

  constructor(parts: SourceAskerParts, source: Extract<AskedSource, { kind: 'agrinetd' }>) {
    this.#parts = parts;
    this.#source = source;
    this.#pin = source.tlsFingerprint;
  }

  /** An answer of status 200 or 304. Throws `peer-refused` for another, and what the guarded fetch and the target throw. */
  async ask(request: SignedRequest, question: Question): Promise<GuardedAnswer> {
    question.signal.throwIfAborted();
    const { id, url } = this.#source;
    let answer: GuardedAnswer;
    try {
      answer = await this.#once(request, question);
    } catch (error) {
      if (errorCode(error) !== 'certificate-changed') throw error;
      this.#pin = await this.#parts.target.renewCertificate(id);
      // Nothing was asked over the other certificate: the request was not used.
      answer = await this.#once(request, question);
    }
    if (answer.status !== 200 && answer.status !== 304) {
      await answer.bytes().catch(() => undefined); // only so that the connection is free again
      throw new AgrinetError('peer-refused', `${url} answered with status ${answer.status}`);
    }
    return answer;
  }

  #once({ method, path, header, body }: SignedRequest, question: Question): Promise<GuardedAnswer> {
    return this.#parts.fetch(`${this.#source.url}${path}`, {
      ...question,
      method,
      headers: { ...question.headers, [REQUEST_HEADER]: header },
      ...(body === undefined ? {} : { body }),
      ...(this.#pin === '' ? {} : { pin: this.#pin }),
    });
  }
}
