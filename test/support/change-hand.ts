import { encodeOp } from '../../protocols/feed/op.ts';
import { encodeChange, type FieldOp, type Scalar } from '../../protocols/open-dialog/change.ts';
import { genesisOf } from '../../protocols/open-dialog/genesis.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { actorOf } from '../../protocols/open-dialog/read-op.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import { recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import type { Writer } from '../../protocols/ledger/drafts.ts';

/** Ops of one public record of the pen's own, each right after the one before: much cheaper to make than drafts against a store. */
export class ChangeHand {
  readonly key: RecordKey;
  readonly #pen: Writer;
  readonly #collection: string;
  readonly #visible = new Map<string, { counter: number; actor: string }>();
  #seq = 0;
  #startOp: number;
  #heads: string[];
  #creates = true;

  constructor(pen: Writer, collection: string, id: string) {
    const known = COLLECTIONS[collection];
    if (known === undefined) throw new TypeError(`no collection ${collection}`);
    this.key = recordKey(collection, pen.author, id);
    this.#pen = pen;
    this.#collection = collection;
    this.#startOp = genesisOf(known).maxOp + 1;
    this.#heads = [genesisOf(known).hash];
  }

  /** From here on it follows all that this state holds. */
  follow({ heads, maxOp, fieldOps }: RecordState): void {
    this.#heads = [...heads];
    this.#creates = false;
    this.#startOp = maxOp + 1;
    for (const [field, [id = '']] of Object.entries(fieldOps)) {
      const [counter, actor = ''] = id.split('@');
      this.#visible.set(field, { counter: Number(counter), actor });
    }
  }

  /** The next change of these fields; the first one creates the record. */
  set(fields: Readonly<Record<string, Scalar>>): Uint8Array {
    const actor = actorOf(this.#pen.author, this.#pen.epoch, this.key);
    const ops = Object.entries(fields).map(([field, value], i): FieldOp => {
      const before = this.#visible.get(field);
      this.#visible.set(field, { counter: this.#startOp + i, actor });
      return { action: 'set', field, value, pred: before === undefined ? [] : [before] };
    });
    const t = this.#creates ? 'create' : 'delta';
    this.#creates = false;
    const change = { actor, seq: ++this.#seq, startOp: this.#startOp, time: 0, deps: this.#heads, ops };
    const d = encodeChange(change);
    this.#startOp += ops.length;
    this.#heads = [sha256Hex(d.subarray(8))];
    const k = this.key.slice(this.#collection.length + 1);
    return encodeOp({ v: 1, c: this.#collection, k, t, d });
  }
}
