import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeliverableEvent } from '../../../api/ports/events.ts';
import { SSE_LIMITS } from '../../../api/sse.ts';
import { SSE_STREAM_LIMITS, SseStream } from '../../../api/sse-stream.ts';
import { type EventLimits, EventLog } from '../../../daemon/events/event-log.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { openEventTable } from '../../../storage/event-table.ts';
import { STRETCH_MS, watchLoop } from '../../support/loop-watch.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

/** Begins the line with the id of an event. */
const ID = 'i'.charCodeAt(0);

describe('the log of events', () => {
  let dir: ReturnType<typeof tempDir>;
  let db: Database;
  const warnings: string[] = [];
  /** All of the test, also those that a kill ended: they would try to write for ever. */
  const opened: EventLog[] = [];

  beforeEach(async () => {
    dir = tempDir('events');
    db = await Database.open(dir.path, systemEnv);
    warnings.length = 0;
  });
  afterEach(async () => {
    await db.close();
    for (const log of opened.splice(0)) await log.close();
    dir.remove();
  });

  async function open(limits: Partial<EventLimits> = {}): Promise<EventLog> {
    const log = await EventLog.open({
      table: await openEventTable(db),
      env: { ...systemEnv, now: () => 1_700_000_000_000 },
      warn: (message) => warnings.push(message),
      limits: { flushMs: 1, retryMs: 10, ...limits },
    });
    opened.push(log);
    return log;
  }
  function listen(log: EventLog, after?: number, wants: (event: DeliverableEvent) => boolean = () => true) {
    const events: DeliverableEvent[] = [];
    const subscription = log.subscribe(after === undefined ? { wants } : { after, wants }, (event) => {
      events.push(event);
      return undefined;
    });
    return { events, subscription };
  }
  const numbers = (events: readonly DeliverableEvent[]) => events.map(({ data }) => data['n']);
  const onDisk = async () => {
    const { events } = await (await openEventTable(db)).read(0, 100_000);
    return events;
  };

  it('numbers events, tells them and goes on after the last that was received', async () => {
    const log = await open({ window: 8 });
    const live = listen(log);
    for (let n = 1; n <= 300; n++) log.emit('federation.sync', { n });
    expect(live.events.map(({ id }) => id)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(warnings).toEqual([]);
    await log.close();
  });

  it('a thousand events at once reach as many streams as there may be, in turns: none is taken for too slow', async () => {
    const log = await open();
    const ends: string[] = [];
    let read = 0;
    const streams = Array.from({ length: SSE_LIMITS.total }, () => {
      const stream: SseStream = new SseStream({
        env: systemEnv,
        limits: SSE_STREAM_LIMITS,
        subscribe: (push) => log.subscribe({ wants: () => true }, push),
        gone: new AbortController().signal,
        destroy: () => undefined,
        onEnd: (why) => ends.push(why),
      });
      void (async () => {
        for await (const [first] of new ReadableStream<Uint8Array>(stream, { highWaterMark: 0 }))
          if (first === ID) read++;
      })();
      return stream;
    });
    const { cpuMs } = await watchLoop(async () => {
      for (let n = 1; n <= 1024; n++) log.emit('conflict', { n });
      await waitFor('all of it', () => read === 1024 * streams.length, 60_000);
    });
    expect(cpuMs).toBeLessThan(STRETCH_MS);
    expect(ends).toEqual([]);
    for (const stream of streams) stream.end();
  }, 90_000);

  it('what waits for its turn when the log is closed is kept for those who resume', async () => {
    const log = await open();
    for (let n = 0; n < 500; n++) listen(log);
    for (let n = 1; n <= 300; n++) log.emit('conflict', { n });
    await log.close();
    expect(numbers(await onDisk())).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
  });

  it('resumes from memory and from disk, across a re-open, without a hole or a repetition', async () => {
    let log = await open({ window: 64 });
    for (let n = 1; n <= 300; n++) {
      log.emit('federation.sync', { n });
      if (n % 50 === 0) await waitFor('the events to be written', async () => (await onDisk()).length === n);
    }
    const early = listen(log, 17);
    // While it replays, more happens.
    for (let n = 301; n <= 320; n++) log.emit('federation.sync', { n });
    await waitFor('the replay', () => early.events.length >= 303);
    expect(numbers(early.events)).toEqual(Array.from({ length: 303 }, (_, i) => i + 18));
    await log.close();
    await db.close();

    db = await Database.open(dir.path, systemEnv);
    log = await open();
    const later = listen(log, 250, ({ data }) => Number(data['n']) % 2 === 0);
    log.emit('federation.sync', { n: 322 });
    await waitFor('the replay', () => later.events.length >= 36);
    expect(numbers(later.events)).toEqual(Array.from({ length: 36 }, (_, i) => 252 + 2 * i));
    expect(later.events.at(-1)?.id).toBe(321); // the stop in order left no gap
    await log.close();
  });

  it('numbers events in the batch of others, and tells them once that is written, before what happened meanwhile', async () => {
    const log = await open();
    const live = listen(log);
    const begun = Promise.withResolvers<void>();
    const written = Promise.withResolvers<void>();
    const kept = log.keep(
      [1, 2].map((n) => ({ type: 'rating', data: { n } })),
      async (rows) => {
        begun.resolve();
        await written.promise;
        await db.batch(rows, true);
      },
    );
    await begun.promise;
    log.emit('conflict', { n: 3 });
    expect(live.events).toEqual([]);
    written.resolve();
    await kept;
    expect(numbers(live.events)).toEqual([1, 2, 3]);
    expect(live.events.map(({ id }) => id)).toEqual([1, 2, 3]);
    await log.close();
    expect((await onDisk()).map(({ id, data }) => [id, data['n']])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });

  it('tells nothing of a write that failed, and what was written although it failed', async () => {
    const log = await open();
    const live = listen(log);
    const failing = log.keep([{ type: 'rating', data: { n: 1 } }], () => Promise.reject(new Error('disk')));
    await expect(failing).rejects.toThrow('disk');
    await log.keep([{ type: 'rating', data: { n: 2 } }], async (rows) => {
      await db.batch(rows, true);
      throw new Error('written, and the answer lost');
    });
    log.emit('conflict', { n: 3 });
    expect(live.events.map(({ id, data }) => [id, data['n']])).toEqual([
      [2, 2],
      [3, 3],
    ]);
    await log.close();
  });

  it('reserves as many numbers as a write brings, and gives none of them again after a kill', async () => {
    const log = await open({ reserve: 4 });
    const live = listen(log);
    const many = Array.from({ length: 100 }, (_, n) => ({ type: 'rating', data: { n } }));
    await log.keep(many, (rows) => db.batch(rows, true));
    expect(live.events.map(({ id }) => id)).toEqual(many.map((_, n) => n + 1));
    const later = await open(); // as after a kill: nothing was given back
    const after = listen(later);
    later.emit('conflict', {});
    expect(after.events[0]?.id).toBeGreaterThan(100);
    await later.close();
  });

  it('waits for a listener that asks it to, and leaves out none', async () => {
    const log = await open();
    for (let n = 1; n <= 200; n++) log.emit('ping.update', { n });
    const seen: unknown[] = [];
    let most = 0;
    let busy = 0;
    log.subscribe({ after: 0, wants: () => true }, ({ data }) => {
      seen.push(data['n']);
      most = Math.max(most, ++busy);
      return new Promise((resolve) => setImmediate(() => resolve(void (busy -= 1))));
    });
    await waitFor('the replay', () => seen.length === 200);
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    expect(most).toBe(1);
    await log.close();
  });

  it('keeps the newest on disk, and tells who comes too late to begin anew', async () => {
    const log = await open({ ring: 100, window: 16 });
    for (let n = 1; n <= 250; n++) {
      log.emit('conflict', { n });
      if (n % 10 === 0)
        await waitFor('the events to be written', async () => (await onDisk()).at(-1)?.id === n);
    }
    const kept = await onDisk();
    expect(kept.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, i) => i + 151));
    const late = listen(log, 20);
    await waitFor('the replay', () => late.events.length >= 101);
    expect(late.events[0]).toMatchObject({ id: 150, type: 'reset', data: { oldest: 151 } });
    expect(numbers(late.events.slice(1))).toEqual(Array.from({ length: 100 }, (_, i) => i + 151));
    const ahead = listen(log, 99_999);
    await waitFor('the replay', () => ahead.events.length >= 101);
    expect(ahead.events[0]).toMatchObject({ type: 'reset', data: { oldest: 151 } });
    const exact = listen(log, 150);
    await waitFor('the replay', () => exact.events.length >= 100);
    expect(exact.events[0]?.id).toBe(151);
    await log.close();
  });

  it('keeps as many events after kills: the numbers that each of them leaves unused count for nothing', async () => {
    for (let life = 0; life < 12; life++) {
      const log = await open({ ring: 100, reserve: 64 });
      await log.keep([{ type: 'rating', data: { n: life } }], (rows) => db.batch(rows, true));
      log.emit('conflict', { n: life });
      await waitFor('the events to be written', async () => (await onDisk()).length === 2 * (life + 1));
      await db.close(); // nothing is given back
      db = await Database.open(dir.path, systemEnv);
    }
    const log = await open({ ring: 24, reserve: 64 });
    const all = listen(log, (await onDisk())[0]?.id ?? 0);
    await waitFor('the replay', () => all.events.length === 23);
    for (let n = 0; n < 8; n++) log.emit('conflict', { n: 100 + n });
    await waitFor('the events to be written', async () => numbers(await onDisk()).at(-1) === 107);
    expect(numbers(await onDisk())).toEqual([
      ...Array.from({ length: 16 }, (_, i) => 4 + Math.floor(i / 2)),
      ...Array.from({ length: 8 }, (_, n) => 100 + n),
    ]);
    await log.close();
  });

  it('gives no number twice, whatever was not written before the kill', async () => {
    const given = new Set<number>();
    for (let life = 0; life < 4; life++) {
      // Nothing is ever flushed: the process is gone before.
      const log = await open({ flushMs: 1_000_000, reserve: 64 });
      const live = listen(log);
      const count = life % 2 === 0 ? 5 : 150;
      for (let n = 0; n < count; n++) log.emit('notification', { n });
      await waitFor('the numbers', () => live.events.length === count);
      for (const { id } of live.events) {
        expect(given.has(id ?? 0)).toBe(false);
        given.add(id ?? 0);
      }
      await db.close();
      db = await Database.open(dir.path, systemEnv);
    }
    expect(given.size).toBe(310);
  });

  it('goes on telling when the disk does not write, and writes when it does', async () => {
    const table = await openEventTable(db);
    let broken = true;
    const log = await EventLog.open({
      table: {
        ...table,
        write: (events, prune) => (broken ? Promise.reject(new Error('disk')) : table.write(events, prune)),
      },
      env: systemEnv,
      warn: (message) => warnings.push(message),
      limits: { flushMs: 1, retryMs: 5, window: 16, unwritten: 32 },
    });
    const live = listen(log);
    for (let n = 1; n <= 40; n++) log.emit('conflict', { n });
    expect(live.events).toHaveLength(40);
    await waitFor('a warning', () => warnings.includes('events not stored yet'));
    broken = false;
    await waitFor('the events to be written', async () => (await onDisk()).length === 32);
    expect(warnings).toContain('events were delivered but could not be stored');
    const early = listen(log, 3);
    await waitFor('the replay', () => early.events.length === 33);
    expect(early.events[0]).toMatchObject({ type: 'reset' });
    expect(numbers(early.events.slice(1))).toEqual(Array.from({ length: 32 }, (_, i) => i + 9));
    await log.close();
  });

  it('neither throws nor tells what is too large or cannot be JSON; one bad listener harms nobody', async () => {
    const log = await open({ eventChars: 1000 });
    log.subscribe({ wants: () => true }, () => {
      throw new Error('bad listener');
    });
    const live = listen(log);
    log.emit('notification', { text: 'x'.repeat(2000) });
    const round: Record<string, string[]> & { self?: never } = {};
    Object.assign(round, { self: round });
    log.emit('notification', round);
    log.emit('notification', { text: 'fits' });
    expect(live.events.map(({ data }) => data)).toEqual([{ text: 'fits' }]);
    await log.close();
  });

  it('relays without a number, and keeps nothing of it', async () => {
    const log = await open();
    const live = listen(log);
    log.relay('token', { id: 'm1', token: 'Ja' }, { conversation: 'c' });
    log.emit('ping.update', {});
    expect(live.events.map(({ id, type }) => [id, type])).toEqual([
      [undefined, 'token'],
      [1, 'ping.update'],
    ]);
    await log.close();
    expect((await onDisk()).map(({ type }) => type)).toEqual(['ping.update']);
  });
});
