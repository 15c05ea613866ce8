import type { Principal } from '../access.ts';
import type { JsonObject } from './jobs.ts';

/** Who may see an event; without any of these, everybody who may read. */
export interface Audience {
  /** Record key of the conversation whose listeners it is for; it never shows in the feed of all events. */
  readonly conversation?: string;
  readonly userId?: string;
  readonly operatorOnly?: boolean;
  /** Not for the operator either, unless it is that user. */
  readonly partyOnly?: boolean;
}

/** An event as delivered to clients. */
export interface DeliverableEvent {
  /** Increases in its log and is never given twice; absent for what is forwarded and not stored. */
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
 * Public and private events. Each log has its own numbers: a listener of the public one learns nothing of the private one from them.
 */
export type EventLogName = 'public' | 'private';

/** The last event that somebody has had of each log. */
export type EventPlace = { readonly [log in EventLogName]?: number };

/** The events to deliver, and the position to start from. */
export interface EventWish {
  /** Logs in which there may be something for this listener. */
  readonly logs: readonly EventLogName[];
  readonly after?: EventPlace;
  readonly wants: (event: DeliverableEvent) => boolean;
}

/** What the event routes need of the node. */
export interface EventsPort {
  /**
   * Replays the stored events of each log after the position in it, then delivers new ones; without a position only new ones. When
   * something after it is no longer stored, an event `reset` `{oldest}` comes first. In order within a log.
   */
  subscribe(
    wish: EventWish,
    push: (event: DeliverableEvent, log: EventLogName) => Promise<void> | undefined,
  ): EventSubscription;
  /** The newest event of each log. */
  newest(): Readonly<Record<EventLogName, number>>;
  /** A number of the private log, encrypted as text that reveals nothing, not even whether it is the same as another. */
  encryptPlace(place: number): string;
  /** Undefined for any other text. */
  decryptPlace(text: string): number | undefined;
  /** Forwards a piece of a message being written to listeners of the conversation; it is not stored. */
  relayToken(conversation: string, token: { readonly id: string; readonly token: string }): void;
  /** Record key of a conversation by its public id, when the caller takes part in it or is an operator; otherwise undefined. */
  mayHear(principal: Principal, conversationId: string): Promise<string | undefined>;
  /** Aborted when the node begins to stop: streams end then. */
  readonly closing: AbortSignal;
}
