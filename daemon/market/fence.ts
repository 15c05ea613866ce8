import type { FencePort } from '../../api/ports/trust.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type Fence, fenceFromGeoJson, fenceFromText, fenceReason } from '../../protocols/market/geofence.ts';
import type { FenceRow, NodeTable } from '../../storage/node-tables.ts';
import { readFence } from './geofence-file.ts';

export interface FenceParts {
  readonly self: string;
  /** As the setting has it; undefined without a fence. */
  readonly geofence: string | undefined;
  readonly table: NodeTable<FenceRow>;
  /** A row that cannot be read any more is as if it had not been set. */
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** `off` is a value of its own: a source that is not fenced, where GEOFENCE would apply. */
type Chosen = Fence | 'off';

/**
 * Which of others' records are shown here. It is evaluated on reading: nothing is stored with the records, so a changed fence
 * applies at once. Throws `settings-invalid` for a GEOFENCE that cannot be read.
 */
export async function openFence({ self, geofence, table, warn }: FenceParts): Promise<FencePort> {
  const general: Chosen = geofence === undefined ? 'off' : await readFence(geofence);
  const bySource = new Map<string, Chosen>();
  for (const [node, row] of await table.load()) {
    try {
      bySource.set(node, chosenOf(row.fence));
    } catch (error) {
      warn('the fence of a node is not in force; set it again', { node, err: error });
    }
  }
  const of = (owner: string): Chosen => bySource.get(owner) ?? general;
  return {
    reason(owner, fields) {
      if (owner === self) return undefined;
      const fence = of(owner);
      return fence === 'off' ? undefined : fenceReason(fence, fields);
    },
    get active() {
      return general !== 'off' || [...bySource.values()].some((fence) => fence !== 'off');
    },
    describe: (node) => words(node === undefined ? general : of(node)),
    async set(node, given) {
      if (given === 'default') {
        await table.remove(node);
        bySource.delete(node);
        return;
      }
      const fence = typeof given === 'string' ? given : { geojson: given };
      const chosen = chosenOf(fence);
      await table.save(node, { fence }, true);
      bySource.set(node, chosen);
    },
  };
}

function chosenOf(fence: FenceRow['fence']): Chosen {
  if (typeof fence !== 'string') return fenceFromGeoJson(fence.geojson);
  if (fence.trim() === 'off') return 'off';
  const circle = fenceFromText(fence);
  // A path is for the node's own settings: over HTTP it would read whatever the node may.
  if (circle !== undefined) return circle;
  throw new AgrinetError(
    'fence-malformed',
    'fence: must be lat,long,radiusKm, or geoLat_<lat>,geoLong_<long>,radiusKm, or GeoJSON, or off, or default',
  );
}

function words(fence: Chosen): string {
  if (fence === 'off') return 'off';
  if (fence.kind === 'polygons')
    return fence.polygons.length === 1 ? '1 polygon' : `${fence.polygons.length} polygons`;
  return `${fence.center.lat},${fence.center.long},${fence.radiusKm}`;
}
