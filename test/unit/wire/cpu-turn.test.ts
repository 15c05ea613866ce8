import { describe, expect, it } from 'vitest';
import type { Env } from '../../../protocols/env.ts';
import { CpuTurn } from '../../../protocols/wire/cpu-turn.ts';

/** An event loop by hand, and the CPU that its thread has used, milliseconds. */
class Loop {
  cpuMs = 0;
  #due: (() => void)[] = [];
  readonly env: Pick<Env, 'cpu' | 'monotonic' | 'after'> = {
    monotonic: () => this.cpuMs,
    cpu: () => this.cpuMs,
    after: (_ms, call) => {
      this.#due.push(call);
      return { cancel: () => undefined };
    },
  };

  /** Goes round once; how much CPU that took. */
  async turn(): Promise<number> {
    const before = this.cpuMs;
    const due = this.#due;
    this.#due = [];
    for (const call of due) {
      call();
      for (let i = 0; i < 50; i++) await Promise.resolve();
    }
    return this.cpuMs - before;
  }
}

describe('work on what others have sent', () => {
  it('gives way when together it has used up its turn: what many send at once is that many turns', async () => {
    const loop = new Loop();
    const done: string[] = [];
    const work = async (name: string): Promise<void> => {
      const turn = new CpuTurn(loop.env);
      for (let i = 0; i < 2; i++) {
        await turn.pause();
        loop.cpuMs += 12; // reading one large request
        done.push(name);
      }
    };
    const all = Promise.all(['a', 'b', 'c', 'd'].map(work));
    const turns: number[] = [];
    for (let i = 0; i < 20 && done.length < 8; i++) turns.push(await loop.turn());
    await all;
    expect(turns.every((ms) => ms <= 12)).toBe(true);
    // Nobody has two turns while somebody has had none.
    expect(done.slice(0, 4).sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(done).toHaveLength(8);
  });

  it('goes on without a pause while it is small', async () => {
    const loop = new Loop();
    const turn = new CpuTurn(loop.env);
    for (let i = 0; i < 7; i++) {
      await turn.pause();
      loop.cpuMs += 1;
    }
    expect(await loop.turn()).toBe(0);
    expect(loop.cpuMs).toBe(7);
  });

  it('does not wait for another loop', async () => {
    const [busy, idle] = [new Loop(), new Loop()];
    const turn = new CpuTurn(busy.env);
    busy.cpuMs += 100;
    const waits = turn.pause();
    await new CpuTurn(idle.env).pause();
    await busy.turn();
    await expect(waits).resolves.toBeUndefined();
  });
});
