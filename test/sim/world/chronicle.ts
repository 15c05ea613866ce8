import { createHash } from 'node:crypto';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { hex } from '../../../protocols/wire/bytes.ts';
import type { Identity, PeerId } from '../../../protocols/wire/identity.ts';
import type { Channel } from '../../../protocols/wire/ids.ts';

/** An entry that its author was told is safe. */
export interface Acknowledged {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly epoch: string;
  readonly seq: number;
  readonly hash: string;
  /** Its author has lost the disk that it was on. */
  authorLost: boolean;
  /** Nobody has it any more: only what a disk that is gone took from everybody. */
  gone: boolean;
}

/** All that has really happened, as nobody in the world can know it: what was signed, by whom, and what was acknowledged. */
export class Chronicle {
  readonly #signatures = new Set<string>();
  readonly #places = new Map<string, string>();
  readonly acknowledged = new Map<string, Acknowledged>();
  readonly #hash = createHash('sha256');
  readonly #lines: string[] | undefined;
  /** Nodes that do not keep to the rules: what they sign twice is no fault of the program. */
  readonly liars = new Set<string>();
  /** What must never be and was, the first of it. */
  violation: string | undefined;

  constructor(keepsLines = false) {
    this.#lines = keepsLines ? [] : undefined;
  }

  /** One line of what happens: two runs of one seed have the same. */
  trace(line: string): void {
    this.#hash.update(line).update('\n');
    this.#lines?.push(line);
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  violate(what: string): void {
    this.violation ??= what;
  }

  /** The same identity, whose signatures are noted. */
  watched(identity: Identity): Identity {
    return {
      ...identity,
      sign: (bytes) => {
        const signature = identity.sign(bytes);
        this.#signatures.add(hex(signature));
        return signature;
      },
    };
  }

  /** An entry was taken in somewhere. */
  checkGenuine(entry: Entry, where: string): void {
    if (!this.#signatures.has(hex(entry.envelope.signature)))
      this.violate(`${where} holds an entry that nobody signed: ${placeOf(entry)}`);
    const place = placeOf(entry);
    const known = this.#places.get(place);
    if (known === undefined) this.#places.set(place, entry.hash);
    else if (known !== entry.hash && !this.liars.has(entry.author))
      this.violate(`two entries of an honest node at one place: ${place}`);
  }

  acknowledge({ author, hash, header: { channel, epoch, seq } }: Entry): void {
    if (this.acknowledged.has(hash)) return;
    this.acknowledged.set(hash, { author, channel, epoch, seq, hash, authorLost: false, gone: false });
  }
}

function placeOf({ author, header: { channel, epoch, seq } }: Entry): string {
  return `${author}|${channel}|${epoch}|${seq}`;
}
