import { Worker } from 'node:worker_threads';
import { AgrinetError } from '../errors.ts';
import { judge, type Judgement } from './judge.ts';
import type { MergeAnswer, MergeRequest } from './merge-worker.ts';
import type { Membership, PlacedOp, RecordState } from './record.ts';
import type { RecordKey } from '../wire/ids.ts';

/** Alarms of the merging worker, for the log. */
export type MergeAlarm = {
  readonly kind: 'merge-deadline' | 'merge-failed' | 'merge-differs';
  readonly key: string;
};

/** Judges one record with all its ops, off the main thread. */
export interface Judge {
  judge(key: RecordKey, ops: readonly PlacedOp[], channelMembers: Membership | undefined): Promise<Judgement>;
}

export interface Merger extends Judge {
  stop(): Promise<void>;
}

/** After this many judgements a worker is replaced, so that its wasm memory goes back to the system. */
const JUDGEMENTS_PER_WORKER = 20_000;
/** Of the first try; each further one has four times as long, because a record can really be that large. */
const DEADLINE_MS = 10_000;
const RETRIES = 2;

/**
 * The slow road: judges a record with all its ops and merges what counts with Automerge, in a worker that can be terminated. A
 * deadline is an alarm and a retry, never a verdict; when the retries are spent the same pure judgement runs here, without
 * Automerge, because the state must not depend on the load of a machine.
 */
export function createMerger(onAlarm: (alarm: MergeAlarm) => void): Merger {
  let worker: Worker | undefined;
  let spent = 0;
  let nextId = 1;
  const open = new Map<number, { resolve(answer: MergeAnswer): void; reject(error: Error): void }>();

  function start(): Worker {
    const fresh = new Worker(new URL('./merge-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    fresh.unref();
    fresh.on('message', (answer: MergeAnswer) => {
      open.get(answer.id)?.resolve(answer);
      open.delete(answer.id);
    });
    const gone = (error: Error): void => {
      if (worker === fresh) worker = undefined;
      for (const [id, waiting] of open) {
        open.delete(id);
        waiting.reject(error);
      }
    };
    fresh.on('error', gone);
    fresh.on('exit', () => gone(new AgrinetError('merge-failed', 'the merging worker ended')));
    spent = 0;
    return fresh;
  }

  async function ask(request: Omit<MergeRequest, 'id'>, deadline: number): Promise<MergeAnswer> {
    if (worker !== undefined && ++spent > JUDGEMENTS_PER_WORKER && open.size === 0) {
      const old = worker;
      worker = undefined;
      await old.terminate();
    }
    worker ??= start();
    const current = worker;
    const id = nextId++;
    // A worker with nothing to do must not keep the process alive, one with work must.
    current.ref();
    const answer = new Promise<MergeAnswer>((resolve, reject) => open.set(id, { resolve, reject }));
    const timer = setTimeout(() => {
      onAlarm({ kind: 'merge-deadline', key: request.key });
      void current.terminate();
    }, deadline);
    current.postMessage({ id, ...request } satisfies MergeRequest);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
      if (open.size === 0) current.unref();
    }
  }

  return {
    async judge(key, ops, members): Promise<Judgement> {
      for (let attempt = 0; attempt <= RETRIES; attempt++) {
        try {
          const answer = await ask({ key, ops, members }, DEADLINE_MS * 4 ** attempt);
          if ('error' in answer) throw new AgrinetError('merge-failed', answer.error);
          if (answer.view !== undefined && !sameView(answer.view, answer.judgement.state))
            onAlarm({ kind: 'merge-differs', key });
          return answer.judgement;
        } catch {
          onAlarm({ kind: 'merge-failed', key });
        }
      }
      return judge(key, ops, members);
    },
    async stop() {
      await worker?.terminate();
    },
  };
}

/** Automerge and the judge must see the same values; a difference is a fault of ours and is told. */
function sameView(merged: Readonly<Record<string, unknown>>, state: RecordState): boolean {
  const fields = Object.keys(merged);
  return (
    fields.length === Object.keys(state.view).length &&
    fields.every((field) => merged[field] === state.view[field])
  );
}
