import type { AuditHead } from '../../protocols/audit/chain.ts';
import { draftFact } from '../../protocols/ledger/drafts.ts';
import type { Reader } from '../../storage/reader.ts';
import type { Node } from '../parts/running.ts';
import { createNumberCipher, type NumberCipher } from '../number-cipher.ts';

/** Heads of the audit log in the node's own feed. How many lines it has is for this node alone. */
export class SignedHeads {
  readonly #node: Pick<Node, 'identity' | 'ledger' | 'env'>;
  readonly #reader: Pick<Reader, 'all'>;
  /** Whoever could make a place up has the key that signs the head itself. */
  readonly #places: NumberCipher;

  constructor(node: Pick<Node, 'identity' | 'ledger' | 'env'>, reader: Pick<Reader, 'all'>) {
    this.#node = node;
    this.#reader = reader;
    this.#places = createNumberCipher(node.identity, 'agrinet audit places', node.env);
  }

  /** Signs a head into the feed; on disk when it resolves. */
  async sign({ no, hash }: AuditHead): Promise<void> {
    const { ledger, env } = this.#node;
    const fields = { head: hash, place: this.#places.encrypt(no), at: env.now() };
    await ledger.write({ keys: [], draft: (writer) => [draftFact(writer, 'audit-heads', fields)] });
  }

  /** All that are in the feed. */
  async all(): Promise<AuditHead[]> {
    const heads: AuditHead[] = [];
    for await (const { key, view } of this.#reader.all('audit-heads'))
      if (key.split('/')[1] === this.#node.identity.peerId)
        heads.push({
          no: this.#places.decrypt(String(view['place'])) ?? Number.MAX_SAFE_INTEGER,
          hash: String(view['head']),
        });
    return heads;
  }
}
