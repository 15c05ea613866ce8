import type { MirrorPort } from '../../api/ports/mirror.ts';
import { type Env, pause } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { RunningMirror } from './start-mirror.ts';

/** How long the status waits to learn who holds the tables. */
const HOLDER_MS = 3000;

/** The mirror, or that there is none, for the API. */
export function mirrorPort(mirror: RunningMirror | undefined, env: Pick<Env, 'after'>): MirrorPort {
  if (mirror === undefined) {
    const off = (): never => {
      throw new AgrinetError(
        'mirror-off',
        'this node has no mirror; set AWS_REGION or DYNAMODB_ENDPOINT (and not MIRROR=off), and restart it',
      );
    };
    return { status: async () => OFF, init: async () => off(), verify: off, repair: off };
  }
  return {
    async status() {
      const answered = new AbortController();
      const late = pause(env, HOLDER_MS, answered.signal).then(() => undefined);
      const asked = mirror.holder().catch(() => undefined); // the state says that it cannot be asked
      const holder = (await Promise.race([asked, late])) ?? null;
      answered.abort();
      return { ...mirror.snapshot(), prefix: mirror.prefix, holder: holder && shown(holder) };
    },
    init: (takeOver) => mirror.init(takeOver),
    verify: () => mirror.verify(),
    repair: (options) => mirror.repair(options),
  };
}

function shown({ peerId, incarnation, seenAt }: { peerId: string; incarnation: number; seenAt: number }) {
  return { peerId, incarnation, seenAt };
}

const OFF = {
  state: 'off',
  detail: 'set AWS_REGION or DYNAMODB_ENDPOINT to have one',
  prefix: '',
  holder: null,
  incarnation: 0,
  pending: 0,
  lagSeconds: 0,
  waiting: 0,
  refused: 0,
  refusals: [],
  outbox: 0,
  inFlight: 0,
  written: 0,
  tombstoned: 0,
  removed: 0,
  overtaken: 0,
  failures: 0,
  lastWriteAt: undefined,
  lastError: undefined,
  repairDue: false,
} as const;
