import { systemEnv } from '../../daemon/system-env.ts';
import { pause } from '../../protocols/env.ts';
import type { DaemonProcess } from './daemon.ts';

/** What clients were told, over all lives of one daemon. */
export interface Acknowledged {
  /** Listing id -> the highest quantity that was acknowledged, and the highest that was sent. */
  readonly listings: Map<string, { acked: number; sent: number }>;
  writes: number;
  /** Answers other than 2xx. */
  readonly refused: Map<number, number>;
}

export function nothingAcknowledged(): Acknowledged {
  return { listings: new Map(), writes: 0, refused: new Map() };
}

/**
 * Keeps `inFlight` requests going until the signal or the daemon's end: each worker posts a listing and counts its quantity up
 * by PATCH, `patches` times, then begins with the next one. Notes only what was answered with 2xx.
 */
export async function writeUntil(
  daemon: DaemonProcess,
  told: Acknowledged,
  signal: AbortSignal,
  { inFlight = 64, patches = 3, text = '' } = {},
): Promise<void> {
  const ask = async (method: string, path: string, body: unknown): Promise<Response | undefined> => {
    try {
      const response = await daemon.request(method, path, body);
      if (response.ok) {
        told.writes++;
        return response;
      }
      await response.arrayBuffer();
      told.refused.set(response.status, (told.refused.get(response.status) ?? 0) + 1);
      await pause(systemEnv, 20, signal); // refused at once: leave it some air
      return undefined;
    } catch (error) {
      if (daemon.child.killed || signal.aborted) return undefined;
      throw error;
    }
  };
  const worker = async (): Promise<void> => {
    while (!signal.aborted && !daemon.child.killed) {
      const created = await ask('POST', '/listings', {
        type: 'offer',
        title: 'under load',
        quantity: 1,
        notes: text,
      });
      const body = await created?.json().catch(() => undefined);
      const id =
        typeof body === 'object' && body !== null && 'listingId' in body ? String(body.listingId) : undefined;
      if (id === undefined) continue;
      const state = { acked: 1, sent: 1 };
      told.listings.set(id, state);
      for (let n = 2; n <= patches + 1 && !signal.aborted && !daemon.child.killed; n++) {
        state.sent = n;
        const answer = await ask('PATCH', `/listings/${encodeURIComponent(id)}`, { quantity: n });
        if (answer !== undefined) state.acked = n;
        await answer?.arrayBuffer().catch(() => undefined);
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

/** Every acknowledged write is there: throws with the first that is not. Returns how many listings the daemon exports. */
export async function expectAcknowledged(daemon: DaemonProcess, told: Acknowledged): Promise<number> {
  const { listings } = await daemon.json<{ listings: { listingId: string; quantity: number }[] }>(
    'GET',
    '/federation/export',
  );
  const held = new Map(listings.map((each) => [each.listingId, each.quantity]));
  for (const [id, { acked, sent }] of told.listings) {
    const quantity = held.get(id);
    if (quantity === undefined) throw new Error(`listing ${id} was acknowledged and is gone`);
    if (quantity < acked || quantity > sent)
      throw new Error(
        `listing ${id}: quantity ${acked} was acknowledged, ${sent} sent, ${quantity} is there`,
      );
  }
  return listings.length;
}
