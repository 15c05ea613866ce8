import type { Principal } from '../access.ts';
import type { JsonObject } from './jobs.ts';

/** Who may see an event; without any of these everybody who may read. */
export interface Audience {
  /** Record key of the conversation whose listeners it is for; it never shows in the feed of all events. */
  readonly conversation?: string;
  readonly userId?: string;
  readonly operatorOnly?: boolean;
  /** Not for the operator either, unless it is that user. */
  readonly partyOnly?: boolean;
}

/** An event as told to clients. */
export interface DeliverableEvent {
  /** Grows for ever in its log and is never given twice; absent for what is relayed and not kept. */
  readonly id?: number;
  readonly type: string;
  readonly data: JsonObject;
  readonly audience?: Audience;
}

/** Takes one event; `shownId` is the id that this listener gets instead, see event-ids.ts. A promise asks the log to wait before it replays the next one; live events do not wait. */
export type PushEvent = (event: DeliverableEvent, shownId?: string) => Promise<void> | undefined;

export interface EventSubscription {
  close(): void;
}

/**
 * The events for everybody, and those that are for some only. Each log has numbers of its own: whoever may hear the one alone learns
 * from its numbers nothing of what happens in the other.
 */
export type EventLogName = 'public' | 'private';

/** The last event that somebody has had of each log. */
export type EventPlace = { readonly [log in EventLogName]?: number };

/** What is to be told, and from where on. */
export interface EventWish {
  /** Logs in which there may be something for this listener. */
  readonly logs: readonly EventLogName[];
  readonly after?: EventPlace;
  readonly wants: (event: DeliverableEvent) => boolean;
}

/** What the event routes need of the node. */
export interface EventsPort {
  /**
   * Of each log replays what is kept after the place in it, then tells what happens; without a place only what happens from now on.
   * When something after it is no longer kept, an event `reset` `{oldest}` comes first. In order within a log.
   */
  subscribe(
    wish: EventWish,
    push: (event: DeliverableEvent, log: EventLogName) => Promise<void> | undefined,
  ): EventSubscription;
  /** The newest event of each log. */
  newest(): Readonly<Record<EventLogName, number>>;
  /** A number of the private log as text that tells nothing of it, not even whether it is the same as another. */
  encryptPlace(place: number): string;
  /** Undefined for a text that is none. */
  decryptPlace(text: string): number | undefined;
  /** Tells a piece of a message being written to those who listen to the conversation; it is not kept. */
  relayToken(conversation: string, token: { readonly id: string; readonly token: string }): void;
  /** Record key of a conversation by its public id, when the caller takes part in it or is an operator; otherwise undefined. */
  mayHear(principal: Principal, conversationId: string): Promise<string | undefined>;
  /** Aborted when the node begins to stop: streams end then. */
  readonly closing: AbortSignal;
}
