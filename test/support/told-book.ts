import { fieldHistory } from '../../daemon/market/field-history.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { openContractBook } from '../../protocols/market/contract-book/book.ts';
import type { BookParts, ContractBook } from '../../protocols/market/contract-book/types.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { Reader } from '../../storage/reader.ts';
import type { LedgerNode } from './ledger-node.ts';

/** A contract book over a ledger that tells nobody of commits: the book is told by hand what it writes itself. */
export function openToldBook(
  node: LedgerNode,
  identity: Identity,
  other: Partial<BookParts> & Pick<BookParts, 'onFailure'>,
): ContractBook {
  const opened = openContractBook({
    identity,
    net: 'test',
    ledger: {
      async write(request) {
        const written = await node.ledger.write(request);
        opened.note(
          written.records.flatMap(({ key, before, after }) =>
            after === undefined ? [] : [{ key, before, after }],
          ),
        );
        return written;
      },
    },
    catalogue: node.catalogue,
    reader: new Reader(node.db),
    history: fieldHistory(node.store),
    isActive: () => false,
    isUser: () => true,
    now: Date.now,
    bytes: systemEnv.bytes,
    awaitFence: async () => undefined,
    onPing: () => undefined,
    ...other,
  });
  return opened;
}
