import type { Env } from '../../env.ts';
import type { Ledger } from '../../ledger/types.ts';
import type { RecordChange } from '../../ledger/ports.ts';
import type { RecordState } from '../../open-dialog/record.ts';
import type { Identity, PeerId } from '../../wire/identity.ts';
import type { Channel, RecordKey } from '../../wire/ids.ts';
import type { Catalogue } from '../catalogue.ts';
import type { Verdict } from '../contract/machine.ts';
import type { FieldHistory } from '../conversation-members.ts';
import type { Contract } from '../contract/model.ts';
import type { Outcome, Transition } from '../contract/statement.ts';
import type { DealNote } from '../deal-note/note.ts';
import type { Edits } from './agreed.ts';
import type { Binding } from './binding.ts';
import type { OnUnread, Page } from '../../unread.ts';

/** The actor: a user of this node, or its operator, who may name any of them. */
export interface Actor {
  readonly operator: boolean;
  readonly userId?: string | undefined;
}

/** A statement with the bytes that were signed. */
export interface SignedStatement {
  readonly transition: Transition;
  readonly bytes: Uint8Array;
}

/** A two-party contract as this node holds it. */
export interface HeldContract {
  readonly state: RecordState;
  readonly binding: Binding;
  readonly contract: Contract;
  readonly statements: readonly SignedStatement[];
  readonly verdict: Verdict;
  /** Proposals with a standing acceptance. */
  readonly agreed: readonly string[];
  /** Hashes of the statements that this node's own facts repeat. */
  readonly repeated: ReadonlySet<string>;
}

/** A contract as it is shown; an open request, or one whose parties cannot be determined, has no `held`. */
export interface ContractView {
  /** From `accepted` on with the agreed terms, whatever its document contains by now. */
  readonly state: RecordState;
  /** Where the document differs: nobody has agreed to this. */
  readonly laterEdits?: Edits;
  readonly held?: HeldContract;
  readonly pings: readonly RecordState[];
  /** When it was last changed, milliseconds since 1970: until an agreement also by its document, from then on by steps that count. */
  readonly movedAt?: number;
}

export type Body = Readonly<Record<string, unknown>>;

/**
 * A step as a client requests it; `as` is the party, when the caller is not one. `acknowledgeListing` allows signing terms that
 * differ from the listing.
 */
export type StepRequest = { readonly as?: string | undefined } & (
  | {
      readonly kind: 'propose';
      readonly validUntil?: number | undefined;
      readonly acknowledgeListing?: boolean | undefined;
    }
  | {
      readonly kind: 'accept';
      readonly proposal?: string | undefined;
      /** Only while this proposal, by its hash, is the current one: the client has read no other. */
      readonly whileNewest?: string | undefined;
      readonly acknowledgeListing?: boolean | undefined;
    }
  | { readonly kind: 'cancel'; readonly whileNewest?: string | undefined }
  | { readonly kind: 'settle' }
  | { readonly kind: 'resolve'; readonly outcome: Outcome; readonly proposal?: string | undefined }
);

/** The reads that the contract book needs. */
export interface BookReader {
  get(key: RecordKey): Promise<RecordState | undefined>;
  all(collection: string, onUnread?: OnUnread): AsyncGenerator<RecordState>;
  /** Live facts of a private channel, oldest first, at most so many of each owner. */
  factsOf(collection: string, channel: Channel, perOwner: number): Promise<readonly RecordState[]>;
  /** Live records of a private channel, newest first. */
  newestInChannel(collection: string, channel: Channel, limit: number): Promise<readonly RecordState[]>;
}

export interface BookParts {
  readonly identity: Identity;
  readonly net: string;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly catalogue: Catalogue;
  readonly reader: BookReader;
  /** The earlier values of a contract's document: its parties are those that it was created with. */
  readonly history: FieldHistory;
  readonly isActive: (peer: PeerId) => boolean;
  /** Whether this node has a user of that name, as far as it can tell. */
  readonly isUser: (userId: string) => boolean;
  readonly now: () => number;
  readonly bytes: Env['bytes'];
  /** Resolves when this node knows what it has promised so far. Throws `rejoining`. */
  readonly awaitFence: () => Promise<void>;
  /** When the newest current rating of a contract was given, milliseconds since 1970; 0 for none. */
  readonly ratedAt?: (held: HeldContract) => Promise<number>;
  /** The contract that a rating is of; undefined for none. */
  readonly ratedContract?: (rating: RecordState) => RecordKey | undefined;
  /** Told of news of a contract's progress, once for each party of this node. */
  readonly onPing: (userId: string, contract: RecordKey, ping: RecordState) => void;
  /** Work in the background that failed; it is tried again at the next change or sweep. */
  readonly onFailure: (error: unknown) => void;
}

/** Contracts of this node's users: what they may see and do, and what they take from its listings. */
export interface ContractBook {
  create(body: Body, actor: Actor, id?: string): Promise<ContractView>;
  /** Throws `not-found` for a caller who may not see it. */
  get(key: RecordKey, actor: Actor): Promise<ContractView>;
  list(
    query: Readonly<Record<'listingId' | 'requestId', string | undefined>>,
    limit: number,
    cursor: string | undefined,
    actor: Actor,
  ): Promise<Page<ContractView>>;
  /** Its note, for a caller who may see it. Throws `not-found`, and `contract-state` (409) before there is an agreement. */
  dealNote(key: RecordKey, actor: Actor): Promise<DealNote>;
  patch(key: RecordKey, body: Body, actor: Actor): Promise<ContractView>;
  step(key: RecordKey, request: StepRequest, actor: Actor): Promise<ContractView>;
  ping(
    key: RecordKey,
    body: Body & { as?: string | undefined },
    actor: Actor,
    id?: string,
  ): Promise<ContractView>;
  /** Agreed contracts that this node has with the users of another. */
  agreedWith(peer: string): readonly RecordKey[];
  /** Whether a party of this node has signed a step of a contract with the other that has not ended. */
  isTrading(party: string, other: string): Promise<boolean>;
  /** How many open requests of a node there are. */
  openRequestsOf(peer: string): Promise<number>;
  /** Changes of own listings that keep to what was promised of them. */
  readonly catalogue: Catalogue;
  /** Told of each commit. */
  note(changes: readonly RecordChange[]): void;
  /** Resolves when nothing is left to look at. */
  idle(): Promise<void>;
  /** Ends holds that are over now. */
  sweep(): Promise<void>;
  stop(): Promise<void>;
}
