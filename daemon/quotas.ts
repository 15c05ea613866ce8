import type { NodeQuota, QuotaPort } from '../api/ports/quota.ts';
import { type Quota, quotaOf, type Usage } from '../protocols/feed/quota.ts';
import type { RegisteredNode, Registry } from '../protocols/registry/registry.ts';
import type { Settings } from './settings.ts';

type QuotaSettings = Pick<Settings, 'authorQuotaMb' | 'authorQuotaPending'>;

/** The storage that an author may use here now: the operator's limit for it, or the general one. */
export function authorQuota(
  settings: QuotaSettings,
  registry: { get(id: string): Pick<RegisteredNode, 'quotaMb'> | undefined },
): (author: string) => Quota {
  return (author) =>
    quotaOf(registry.get(author)?.quotaMb ?? settings.authorQuotaMb, settings.authorQuotaPending);
}

export interface QuotaParts {
  readonly settings: QuotaSettings;
  readonly registry: Pick<Registry, 'get' | 'setQuota'>;
  readonly usage: { of(author: string): Usage };
  /** Told of what was set. */
  readonly onSet: (quota: NodeQuota) => void;
}

export function createQuotas({ settings, registry, usage, onSet }: QuotaParts): QuotaPort {
  function quotaFor({ peerId, quotaMb }: RegisteredNode): NodeQuota {
    const { bytes, pending } = usage.of(peerId);
    return {
      id: peerId,
      quotaMb: quotaMb ?? settings.authorQuotaMb,
      own: quotaMb !== undefined,
      bytes,
      pendingOps: pending,
    };
  }
  return {
    of(id) {
      const node = registry.get(id);
      return node && quotaFor(node);
    },
    async set(id, quotaMb) {
      const quota = quotaFor(await registry.setQuota(id, quotaMb));
      onSet(quota);
      return quota;
    },
  };
}
