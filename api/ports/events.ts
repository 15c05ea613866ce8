import type { Principal } from '../access.ts';
import type { JsonObject } from './jobs.ts';

/** Who may see an event; without any of these everybody who may read. */
export interface Audience {
  /** Record key of the conversation whose listeners it is for; it never shows in the feed of all events. */
  readonly conversation?: string;
  readonly userId?: string;
  readonly operatorOnly?: boolean;
}

/** An event as told to clients. */
export interface TellableEvent {
  /** Grows for ever and is never given twice; absent for what is relayed and not kept. */
  readonly id?: number;
  readonly type: string;
  readonly data: JsonObject;
  readonly audience?: Audience;
}

/** Takes one event. A promise asks the log to wait before it replays the next one; live events do not wait. */
export type PushEvent = (event: TellableEvent) => Promise<void> | undefined;

export interface EventSubscription {
  close(): void;
}

/** What the event routes need of the node. */
export interface EventsPort {
  /**
   * Replays what is kept after `after`, then tells what happens. When something after it is no longer kept, an event `reset`
   * `{oldest}` comes first. Without `after` only what happens from now on.
   */
  subscribe(
    options: { readonly after?: number; readonly wants: (event: TellableEvent) => boolean },
    push: PushEvent,
  ): EventSubscription;
  /** Tells a piece of a message being written to those who listen to the conversation; it is not kept. */
  relayToken(conversation: string, token: { readonly id: string; readonly token: string }): void;
  /** Record key of a conversation by its public id, when the caller takes part in it or is an operator; otherwise undefined. */
  mayHear(principal: Principal, conversationId: string): Promise<string | undefined>;
  /** Aborted when the node begins to stop: streams end then. */
  readonly closing: AbortSignal;
}
