import type { FenceReason } from '../protocols/market/geofence.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { FencePort } from './ports/trust.ts';

/** Why a record stays outside of this node's fence; undefined when it is shown. */
export function outsideOf(
  fence: Pick<FencePort, 'reason'>,
  { key, view }: RecordState,
): FenceReason | undefined {
  return fence.reason(key.split('/')[1] ?? '', view);
}

/** The filter of lists; undefined without a fence, to avoid needless work. */
export function insideFence(
  fence: Pick<FencePort, 'reason' | 'active'>,
): ((state: RecordState) => boolean) | undefined {
  return fence.active ? (state) => outsideOf(fence, state) === undefined : undefined;
}
