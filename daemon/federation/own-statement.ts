import { AgrinetError } from '../../protocols/errors.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import { type RegistrationStatement, signRegistration } from '../../protocols/registry/statement.ts';
import { base64url, fromBase64url } from '../../protocols/wire/bytes.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import { urlFor } from './node-url.ts';

/** What this node says about itself. */
export interface OwnAddress {
  readonly publicUrl: string | undefined;
  /** Where the API listens, as a URL. */
  readonly listening: string;
  readonly region: string;
  readonly name: string;
  readonly multiaddrs: readonly string[];
  readonly tlsFingerprint: string;
}

export interface StatementParts {
  readonly identity: Identity;
  readonly network: string;
  readonly own: () => OwnAddress;
  readonly now: () => number;
}

/** This node's registration with the node at a URL, plain and signed; base64url. */
export function ownStatement(
  { identity, network, own, now }: StatementParts,
  receiver: PeerId,
  receiverUrl: string,
  nonce: string,
): { readonly plain: RegistrationStatement; readonly signed: string } {
  const address = own();
  const { region, name, multiaddrs, tlsFingerprint } = address;
  const plain = {
    caller: identity.peerId,
    receiver,
    nodeUrl: urlFor(receiverUrl, address),
    region,
    name,
    multiaddrs: multiaddrs.slice(0, 16),
    schemaVersion: SCHEMA_VERSION,
    time: now(),
    nonce,
    tlsFingerprint,
  };
  return { plain, signed: base64url(signRegistration(identity, network, plain)) };
}

/** Throws `registration-invalid`. */
export function envelopeOf(text: string): Uint8Array {
  const bytes = fromBase64url(text);
  if (bytes === undefined) throw new AgrinetError('registration-invalid', 'registration: not base64url');
  return bytes;
}
