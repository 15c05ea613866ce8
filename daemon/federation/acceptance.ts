import type { RegisterRequest } from '../../api/ports/registration.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Nonces } from '../../protocols/registry/nonces.ts';
import type { RegisteredNode, Registry } from '../../protocols/registry/registry.ts';
import { verifyRegistration, type RegistrationStatement } from '../../protocols/registry/statement.ts';
import { verifyWithdrawal } from '../../protocols/registry/withdrawal.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import type { Challenge } from './challenge.ts';
import { baseUrl } from './node-url.ts';
import { envelopeOf, ownStatement, type StatementParts } from './own-statement.ts';

/** Challenges under way for registrations: each holds a connection to an address that somebody named. */
const CHALLENGES = 8;
/** Registrations by the operator's hand that wait for the one before them. */
const BY_HAND = 16;

export interface AcceptanceParts extends StatementParts {
  readonly registry: Registry;
  readonly nonces: Nonces;
  readonly challenge: Challenge;
  readonly policy: AddressPolicy;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

interface Accepted {
  readonly node: RegisteredNode;
  /** It was not active before. */
  readonly created: boolean;
  /** This node's own, in answer. */
  readonly statement: string;
}

/** Answers signed registrations and withdrawals of other nodes. */
export class Acceptance {
  readonly #parts: AcceptanceParts;
  /** No key bounds the operator's hand: it does one registration after the other. */
  readonly #byHand = new SerialQueue();
  #challenges = 0;

  constructor(parts: AcceptanceParts) {
    this.#parts = parts;
  }

  async accept(request: RegisterRequest & { readonly statement: string }): Promise<Accepted> {
    const statement = verifyRegistration(envelopeOf(request.statement), this.#expected());
    checkCopies(request, statement);
    if (request.key !== undefined) return this.#take(request, statement);
    if (this.#byHand.size >= BY_HAND)
      throw new AgrinetError(
        'busy',
        'another registration with the operator’s key is in progress; register one node at a time',
      );
    return this.#byHand.run(() => this.#take(request, statement));
  }

  async withdraw(withdrawal: string): Promise<void> {
    const { registry, nonces, now } = this.#parts;
    const { caller, nonce } = verifyWithdrawal(envelopeOf(withdrawal), this.#expected());
    // A stranger's withdrawal changes nothing, and must not fill the table of nonces.
    if (registry.get(caller) === undefined) return;
    await nonces.use(caller, nonce, now());
    await registry.withdraw(caller);
  }

  #expected() {
    const { network, identity, now } = this.#parts;
    return { net: network, receiver: identity.peerId, now: now() };
  }

  /** The key is compared once more when the node is written, so that of many at once one comes in. */
  async #take(request: RegisterRequest, statement: RegistrationStatement): Promise<Accepted> {
    const { registry, nonces, policy, now, log } = this.#parts;
    const { by, key } = request;
    const { caller, nonce } = statement;
    await nonces.use(caller, nonce, now(), by);
    const reachable = statement.nodeUrl !== '';
    const asked = { status: reachable ? ('active' as const) : ('pending' as const), by, key };
    registry.mayRegister(caller, asked);
    const before = registry.get(caller)?.status;
    const nodeUrl = reachable ? baseUrl(statement.nodeUrl, policy) : '';
    if (reachable) await this.#checkReached(statement, nodeUrl);
    const node = await registry.register({ ...statement, nodeUrl }, request.contactEmail, now(), asked);
    if (key === undefined)
      log('registered by the hand of this node’s operator, with its own key', { node: node.peerId });
    const { signed } = ownStatement(this.#parts, caller, nodeUrl, nonce);
    return { node, created: before !== 'active', statement: signed };
  }

  /** Throws unless the registering node answers at the URL it signed. */
  async #checkReached(statement: RegistrationStatement, url: string): Promise<void> {
    if (this.#challenges >= CHALLENGES)
      throw new AgrinetError('busy', 'too many registrations at once; try again in a few seconds');
    this.#challenges++;
    try {
      const proven = await this.#parts.challenge(url, statement.caller);
      if (proven.tlsFingerprint !== statement.tlsFingerprint)
        throw new AgrinetError(
          'registration-invalid',
          'registration: the node presents another TLS certificate than it registered with',
        );
    } finally {
      this.#challenges--;
    }
  }
}

/** The plain fields repeat what is signed. Throws `registration-invalid`. */
function checkCopies(request: RegisterRequest, statement: RegistrationStatement): void {
  const { nodeUrl, region, time, nonce, tlsFingerprint, caller: peerId } = statement;
  const signed: Readonly<Record<string, unknown>> = { nodeUrl, region, time, nonce, tlsFingerprint, peerId };
  const wrong = Object.entries(request).find(
    ([field, value]) => value !== undefined && field in signed && signed[field] !== value,
  )?.[0];
  const multiaddrs = request.multiaddrs?.join(',') ?? statement.multiaddrs.join(',');
  const what = wrong ?? (multiaddrs === statement.multiaddrs.join(',') ? undefined : 'multiaddrs');
  if (what !== undefined)
    throw new AgrinetError(
      'registration-invalid',
      `registration: ${what} does not match the signed statement`,
    );
}
