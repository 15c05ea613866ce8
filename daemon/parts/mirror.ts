import type { MirrorLimits } from '../../storage/mirror/limits.ts';
import type { Reader } from '../../storage/reader.ts';
import type { RunningMirror, startNodeMirror } from '../mirror/start-mirror.ts';
import { definePart, type Face } from '../parts.ts';
import type { Market } from './market.ts';

export interface MirrorComponents {
  readonly reader: Face<Reader>;
  readonly market: Pick<Market, 'contracts' | 'conversations' | 'ratings'>;
  /** Other times than the mirror's own. */
  readonly limits: Partial<MirrorLimits> | undefined;
}

/** The DynamoDB mirror; undefined when it is off. */
export function defineMirror(
  node: Parameters<typeof startNodeMirror>[0],
  { reader, market: { contracts, conversations, ratings }, limits }: MirrorComponents,
) {
  return definePart<RunningMirror | undefined>('mirror', async () => {
    // The SDK of AWS is large; it is loaded only for a mirror.
    const start = node.outbox && (await import('../mirror/start-mirror.ts')).startNodeMirror;
    const projected = {
      reader: reader.face,
      contracts: contracts.face,
      conversations: conversations.face,
      ratings: ratings.face,
    };
    const mirror = start?.(node, projected, limits);
    return { face: mirror, stop: () => mirror?.stop() };
  });
}
