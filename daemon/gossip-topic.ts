import { TopicValidatorResult } from '@libp2p/gossipsub';
import type { Gossip } from './gossip-host.ts';
import type { GossipVerdict } from './hooks.ts';

/** One topic of gossip, as replication uses it. */
export interface GossipTopic {
  readonly publish: (data: Uint8Array) => Promise<void>;
  /**
   * Joins the topic. `onMessage` says of each message whether it is forwarded, dropped, or held against its sender; `onSubscribed`
   * is called for each peer that listens to the topic from now on.
   */
  readonly join: (
    onMessage: (data: Uint8Array, from: string) => Promise<GossipVerdict>,
    onSubscribed: (peer: string) => void,
  ) => void;
}

const VERDICTS: Readonly<Record<GossipVerdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

/** A topic of libp2p's gossipsub. */
export function gossipTopic(gossip: Gossip, name: string): GossipTopic {
  return {
    async publish(data) {
      await gossip.publish(name, data);
    },
    join(onMessage, onSubscribed) {
      gossip.addEventListener('gossipsub:message', ({ detail: { msg, msgId, propagationSource } }) => {
        const from = propagationSource.toString();
        void onMessage(msg.data, from).then((verdict) =>
          gossip.reportMessageValidationResult(msgId, from, VERDICTS[verdict]),
        );
      });
      gossip.addEventListener('subscription-change', ({ detail: { peerId, subscriptions } }) => {
        if (subscriptions.some(({ topic, subscribe }) => topic === name && subscribe))
          onSubscribed(peerId.toString());
      });
      gossip.subscribe(name);
    },
  };
}
