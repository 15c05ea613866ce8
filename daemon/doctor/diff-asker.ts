import { type Coverage, coverageText, OWN_COVERAGE } from '../../protocols/digest/coverage.ts';
import { type PrefixAnswer, readPrefixAnswer } from '../../protocols/digest/prefix.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { FrontierGroup } from '../../protocols/mycelium/frontier-page.ts';
import { FRONTIER_SEQUENCE, readFrontierSequence } from '../../protocols/mycelium/frontier-sequence.ts';
import { wholeFrontier } from '../../protocols/mycelium/frontier-stream.ts';
import { REQUEST_HEADER, signRequest } from '../../protocols/mycelium/signed-request.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { openSession } from '../federation/connection-session.ts';
import { PULL_LIMITS } from '../federation/https-transport.ts';
import type { Node } from '../parts/running.ts';
import { DIFF_LIMITS } from './diff-limits.ts';

/** A peer's public feeds, and all that its version knows; its digests cover what both know. */
export interface PeerShown {
  readonly groups: ReadonlyMap<PeerId, FrontierGroup>;
  readonly knows: Coverage;
}

/** Asks a peer over HTTP what it holds; undefined when no more may be asked. Throws `peer-refused`, `answer-malformed` and those of `fetch`. */
export class DiffAsker {
  readonly #node: Pick<Node, 'fetch' | 'identity' | 'settings' | 'env'>;
  readonly #peer: RegisteredNode;
  readonly #session: ReturnType<typeof openSession>;
  readonly #base: string;
  readonly #signal: AbortSignal;
  /** With PUBLIC_READS=off there, only what a registered node signs is answered. */
  #signing = false;
  #requests = 0;
  #bytes = 0;

  constructor(
    node: Pick<Node, 'fetch' | 'identity' | 'settings' | 'env'>,
    peer: RegisteredNode,
    session: ReturnType<typeof openSession>,
  ) {
    this.#node = node;
    this.#peer = peer;
    this.#session = session;
    this.#base = peer.url.replace(/\/+$/, '');
    this.#signal = node.env.deadline(DIFF_LIMITS.totalMs);
  }

  get requests(): number {
    return this.#requests;
  }

  /** Of all answers. */
  get bytes(): number {
    return this.#bytes;
  }

  async frontier(): Promise<PeerShown | undefined> {
    const path = `/federation/feeds?knows=${coverageText(OWN_COVERAGE)}`;
    const data = await this.#ask(path, PULL_LIMITS.frontierBytes, FRONTIER_SEQUENCE);
    if (data === undefined) return undefined;
    const { groups, knows } = await wholeFrontier(readFrontierSequence(chunkOf(data), this.#node.env));
    const open = groups.filter(({ channel }) => channel === 'public');
    return { groups: new Map(open.map((group) => [group.author, group])), knows };
  }

  async branch(owner: PeerId, collection: string, prefix: string): Promise<PrefixAnswer | undefined> {
    const path = `/federation/digest/${owner}/${collection}?prefix=${prefix}`;
    const data = await this.#ask(path, DIFF_LIMITS.answerBytes);
    return data === undefined
      ? undefined
      : readPrefixAnswer(jsonOf(data, this.#base), { collection, owner, prefix });
  }

  async #ask(path: string, maxBytes: number, accept = 'application/json'): Promise<Uint8Array | undefined> {
    if (this.#requests >= DIFF_LIMITS.requests || this.#bytes >= DIFF_LIMITS.bytes) return undefined;
    try {
      return await this.#answerTo(path, maxBytes, accept);
    } catch (error) {
      // Time is up for all of it; what was found until then counts.
      if (this.#signal.aborted) return undefined;
      throw error;
    }
  }

  async #answerTo(path: string, maxBytes: number, accept: string): Promise<Uint8Array> {
    let answer = await this.#once(path, maxBytes, accept);
    if (answer.status === 403 && !this.#signing) {
      await answer.bytes();
      this.#signing = true;
      answer = await this.#once(path, maxBytes, accept);
    }
    const data = await answer.bytes();
    this.#bytes += data.length;
    if (answer.status !== 200)
      throw new AgrinetError(
        'peer-refused',
        `${this.#base} answered with status ${answer.status}${answer.status === 404 ? '; its agrinetd is too old to be compared with' : ''}`,
      );
    return data;
  }

  #once(path: string, maxBytes: number, accept: string): ReturnType<Node['fetch']> {
    const { tlsFingerprint } = this.#peer;
    this.#requests++;
    return this.#node.fetch(this.#base + path, {
      timeoutMs: DIFF_LIMITS.askMs,
      maxBytes,
      signal: this.#signal,
      session: this.#session,
      ...(tlsFingerprint === '' ? {} : { pin: tlsFingerprint }),
      headers: { accept, ...(this.#signing ? { [REQUEST_HEADER]: this.#signed(path) } : {}) },
    });
  }

  #signed(path: string): string {
    const { identity, settings, env } = this.#node;
    return signRequest(identity, {
      net: settings.myceliumNetwork,
      receiver: this.#peer.peerId,
      method: 'GET',
      path,
      time: env.now(),
      nonce: new Uint8Array(env.bytes(16)),
    });
  }
}

function jsonOf(data: Uint8Array, base: string): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString());
  } catch (error) {
    throw new AgrinetError('answer-malformed', `${base} did not answer with JSON`, {
      cause: error,
    });
  }
}

async function* chunkOf(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
