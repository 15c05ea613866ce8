import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { AgrinetError } from '../protocols/errors.ts';

/** Resolves a name to all its addresses. */
export type Resolve = (
  name: string,
  options: LookupOptions & { all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * The look-up of a connection, with the addresses it returns checked here: what the name resolves to a moment later does not matter.
 * One bad address refuses the name: an honest peer has none. Fails with `address-refused`, `peer-unreachable`.
 */
export function checkedLookup(
  refusal: (name: string, address: string) => string | undefined,
  resolve: Resolve = systemLookup,
): LookupFunction {
  return (name, options, done) => {
    resolve(name, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        done(error, []);
        return;
      }
      for (const { address } of addresses) {
        const why = refusal(name, address);
        if (why === undefined) continue;
        done(new AgrinetError('address-refused', `address: ${name} ${why}`), []);
        return;
      }
      const first = addresses[0];
      if (first === undefined) done(new AgrinetError('peer-unreachable', `${name} has no address`), []);
      else if (options.all === true) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}
