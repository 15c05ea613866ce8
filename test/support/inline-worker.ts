import type { Env } from '../../protocols/env.ts';
import type { WorkerReply, StartWorker } from '../../protocols/request-thread.ts';

type Told<Answer> = WorkerReply<Answer> | Promise<WorkerReply<Answer>>;

/** A worker on the thread that starts it. It answers one request after another, as a thread does, each after a delay by the environment's clock. */
export function inlineWorker<Request, Answer>(
  env: Pick<Env, 'after'>,
  begin: () => (request: Request) => Told<Answer> | undefined,
  delay: () => number = () => 0,
): StartWorker<Request, Answer> {
  return ({ answer, gone }) => {
    const work = begin();
    const told: Told<Answer>[] = [];
    let isEnded = false;
    const next = (): void => {
      env.after(delay(), () => void tellFirst());
    };
    const tellFirst = async (): Promise<void> => {
      const first = await told[0];
      void told.shift();
      if (isEnded || first === undefined) return;
      answer(first);
      if (told.length > 0) next();
    };
    const tell = (message: Told<Answer>): void => {
      if (told.push(message) === 1) next();
    };
    tell({ ready: true });
    return {
      post(request) {
        const message = isEnded ? undefined : work(request);
        if (message !== undefined) tell(message);
      },
      hold: () => undefined,
      end: () => {
        if (!isEnded) env.after(0, () => gone());
        isEnded = true;
        return Promise.resolve();
      },
    };
  };
}
