import { AgrinetError } from '../../protocols/errors.ts';
import { makeForkProof } from '../../protocols/feed/fork.ts';
import { decodeOp, encodeOp } from '../../protocols/feed/op.ts';
import { verifyRegistration, REGISTRATION_ENVELOPE } from '../../protocols/registry/statement.ts';
import { actorOf } from '../../protocols/open-dialog/read-op.ts';
import { decodeChange } from '../../protocols/open-dialog/change.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../protocols/wire/cbor.ts';
import { signEnvelope } from '../../protocols/wire/envelope.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import {
  Hand,
  listingOps,
  NET,
  openLedger,
  priceOps,
  type Random,
  randomFrom,
  someIdentity,
  type TestLedger,
} from '../support/forge.ts';
import { settle } from '../support/hand-clock.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type Decoder, decoders } from './decoders.ts';
import { history } from './histories.ts';
import { bomb, mutated, mutatedBytes, resealed } from './mutate.ts';
import { StallRounds, type Stalls } from './stalls.ts';

/** What fuzzing found. */
export interface FuzzReport {
  readonly seed: number;
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly faults: string[];
  readonly stalls: Stalls;
}

/**
 * The worst stall of the main loop while work runs, in milliseconds: processor time of the main thread between two firings of a
 * timer of 1 ms, because on a busy machine the clock also shows what other processes take.
 */
export async function worstLag(work: () => Promise<void>): Promise<number> {
  let worst = 0;
  let last = process.threadCpuUsage();
  const look = (): void => {
    const now = process.threadCpuUsage();
    worst = Math.max(worst, (now.user - last.user + now.system - last.system) / 1000);
    last = now;
  };
  const probe = setInterval(look, 1);
  await work();
  await turn();
  look();
  clearInterval(probe);
  return worst;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Whatever nobody has caught while `work` ran. */
export async function uncaughtDuring(work: () => Promise<void>): Promise<string[]> {
  const found: string[] = [];
  const note = (error: unknown): number => found.push(`uncaught: ${String(error)}`);
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
  try {
    await work();
    await settle();
  } finally {
    process.off('unhandledRejection', note);
    process.off('uncaughtException', note);
  }
  return found;
}

const ROUNDS = 10;

/** Malformed frames over every decoder, between rounds of as many well-formed ones. */
export async function fuzzDecoders(count: number, seed: number): Promise<FuzzReport> {
  const random = randomFrom(seed);
  const all = decoders(random);
  const outcomes: Record<string, Record<string, number>> = {};
  const faults: string[] = [];
  const rounds = new StallRounds();
  const each = Math.ceil(count / all.length / ROUNDS);
  faults.push(
    ...(await uncaughtDuring(async () => {
      for (let round = 0; round <= ROUNDS; round++) {
        const control = await worstLag(() =>
          throwAt(
            all,
            each,
            ({ seeds }) => random.pick(seeds),
            () => undefined,
          ),
        );
        const attack = await worstLag(() =>
          throwAt(
            all,
            round === 0 ? 1 : each,
            ({ seeds, longest, bombs }) =>
              bombs !== undefined && random.int(20) === 0
                ? random.pick(bombs)
                : mutated(seeds, random, longest),
            (decoder, code, bytes) => {
              const counts = (outcomes[decoder.name] ??= {});
              counts[code] = (counts[code] ?? 0) + 1;
              if (code === 'internal' || code.startsWith('not ours'))
                faults.push(
                  `${decoder.name}: ${code} for ${Buffer.from(bytes).toString('hex').slice(0, 400)}`,
                );
            },
          ),
        );
        if (round === 0) continue; // compiling is nobody's stall
        rounds.begin();
        rounds.note('control', control);
        rounds.note('attack', attack);
      }
    })),
  );
  return { seed, outcomes, faults, stalls: rounds.stalls };
}

const LONG_BYTES = 16 * 1024;

async function throwAt(
  all: readonly Decoder[],
  each: number,
  make: (decoder: Decoder) => Uint8Array,
  note: (decoder: Decoder, code: string, bytes: Uint8Array) => void,
): Promise<void> {
  for (const decoder of all) {
    for (let i = 0; i < each; i++) {
      const bytes = make(decoder);
      // Making a long one is no work of a node.
      if (i % 16 === 0 || bytes.length > LONG_BYTES) await turn();
      let code = 'read';
      try {
        await decoder.run(bytes);
      } catch (error) {
        code = error instanceof AgrinetError ? error.code : `not ours: ${String(error)}`;
      }
      note(decoder, code, bytes);
    }
  }
}

/** Correctly signed frames with mutated insides, through a ledger on disk, between rounds of as many honest ones. */
export async function fuzzSigned(count: number, seed: number): Promise<FuzzReport> {
  const random = randomFrom(seed);
  const folder = tempDir('fuzz');
  const test = await openLedger(folder.path, someIdentity(random));
  const outcomes: Record<string, Record<string, number>> = {};
  const faults: string[] = [];
  const rounds = new StallRounds();
  let during: keyof Stalls = 'control';
  // the making of frames and the comparing with Automerge happen here too, but are no part of a node
  const receive: TestLedger['ledger']['receive'] = async (entries, publicOnly) => {
    let results: Awaited<ReturnType<typeof test.ledger.receive>> = [];
    const worst = await worstLag(async () => {
      results = await test.ledger.receive(entries, publicOnly);
    });
    rounds.note(during, worst);
    return results;
  };
  const measured: TestLedger = { ...test, ledger: { ...test.ledger, receive } };
  const follow = (): Hand => {
    const hand = new Hand(someIdentity(random), random.hex(8));
    test.followStates.set(hand.identity.peerId, 'followed');
    return hand;
  };
  const honest = follow();
  const note = (kind: string, outcome: string): void => {
    const counts = (outcomes[kind] ??= {});
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (/internal|not ours/.test(outcome)) faults.push(`${kind}: ${outcome}`);
  };
  const each = Math.ceil(count / ROUNDS);
  try {
    const uncaught = await uncaughtDuring(async () => {
      for (let round = 0; round <= ROUNDS; round++) {
        const size = round === 0 ? 100 : each;
        if (round > 0) rounds.begin(); // compiling is nobody's stall
        during = 'control';
        await honestLoad(measured, honest, size, random);
        during = 'attack';
        await mutatedOps(measured, follow(), Math.ceil(size * 0.5), random, note);
        await mutatedHeaders(measured, follow, Math.ceil(size * 0.2), random, note);
        await mutatedStatements(Math.ceil(size * 0.05), random, note);
        const writers = [follow().identity, follow().identity] as const;
        for (let done = 0; done < size * 0.25; done += 25) {
          const { counting, faults: wrong } = await history(measured, writers, 25, random);
          note('histories', 'done');
          const counts = (outcomes['changes of histories'] ??= { counting: 0, other: 0 });
          counts['counting'] = (counts['counting'] ?? 0) + counting;
          counts['other'] = (counts['other'] ?? 0) + 25 - counting;
          faults.push(...wrong);
        }
      }
    });
    faults.push(...uncaught);
    for (const alarm of test.alarms)
      if (alarm.kind !== 'feed-forked') faults.push(`alarm: ${JSON.stringify(alarm)}`);
  } finally {
    await test.close();
    folder.remove();
  }
  return { seed, outcomes, faults, stalls: rounds.stalls };
}

type Note = (kind: string, outcome: string) => void;
const BATCH = 50;

/** Honest entries: new listings, edits of them, concurrent ones among them, so that both roads are walked. */
async function honestLoad(test: TestLedger, hand: Hand, size: number, random: Random): Promise<void> {
  for (let done = 0; done < size; done += BATCH) {
    const batch = Array.from({ length: BATCH }, () =>
      hand.next([
        ...listingOps(hand.pen, random.hex(8), undefined, { title: random.hex(8), notes: 'x'.repeat(500) }),
        ...priceOps(hand.pen, random.hex(4), random.int(99)),
      ]),
    );
    await test.ledger.receive(batch.map(({ bytes }) => bytes));
  }
}

/** Ops whose CBOR, change, fact or membership is mutated, in honest entries. */
async function mutatedOps(
  test: TestLedger,
  hand: Hand,
  size: number,
  random: Random,
  note: Note,
): Promise<void> {
  const { author } = hand.pen;
  for (let done = 0; done < size; done += BATCH) {
    const batch = Array.from(
      { length: Math.min(BATCH, size - done) },
      () => hand.next([mutatedOp(hand, random)]).bytes,
    );
    test.verdicts();
    const results = await test.ledger.receive(batch);
    for (const { kind, code } of results)
      if (kind !== 'accept') note('ops', `not taken: ${kind} ${code ?? ''}, internal?`);
    for (const { ref, verdict, fresh } of test.verdicts()) {
      if (ref.author !== author || (!fresh && verdict.state === 'applied')) continue;
      note('ops', verdict.state === 'applied' ? 'counts' : `${verdict.state}:${verdict.code}`);
    }
  }
}

function mutatedOp(hand: Hand, random: Random): Uint8Array {
  const id = random.hex(4);
  const honest = random.pick([
    () => listingOps(hand.pen, id, undefined, { title: random.hex(4), price: random.int(99) }),
    () => priceOps(hand.pen, random.hex(4), random.int(99)),
  ])()[0];
  const op = honest && decodeOp(honest);
  if (op === undefined) throw new Error('no op');
  switch (random.int(6)) {
    case 0:
      return mutatedBytes({ ...op }, random);
    case 1:
      return mutated([encodeOp(op)], random, 60_000);
    case 2: {
      const d = op.d.slice();
      d[random.int(d.length)] = random.int(256);
      return encodeOp({ ...op, d: resealed(d) });
    }
    case 3: {
      const key = recordKey('listings', hand.pen.author, id);
      const d = bomb(actorOf(hand.pen.author, hand.epoch, key), [random.hex(32)]);
      return encodeOp({ v: 1, c: 'listings', k: `${hand.pen.author}/${id}`, t: 'create', d });
    }
    case 4:
      return op.t === 'fact'
        ? encodeOp({ ...op, d: mutatedBytes(decodeCbor(op.d) as Cbor, random) })
        : encodeOp({ ...op, d: mutated([op.d], random, 60_000) });
    default: {
      if (op.t === 'fact') return encodeOp({ ...op, k: random.hex(2) });
      const change = decodeChange(op.d);
      const field = random.pick(['__proto__', 'constructor', 'nosuch', 'terms.a', 'title\0']);
      void change;
      return encodeOp({ ...op, k: `${hand.pen.author}/${field}` });
    }
  }
}

/** Header payloads of any shape under a good signature, each hand used for a few: a fork ends its feed. */
async function mutatedHeaders(
  test: TestLedger,
  follow: () => Hand,
  size: number,
  random: Random,
  note: Note,
): Promise<void> {
  for (let done = 0; done < size; done += 10) {
    const hand = follow();
    const first = hand.next(priceOps(hand.pen, random.hex(4), 1));
    await test.ledger.receive([first.bytes]);
    for (let i = 0; i < 10; i++) {
      const ops = priceOps(hand.pen, random.hex(4), 2);
      const map = decodeCbor(hand.sign(ops).envelope.payload) as Cbor;
      const bytes = hand.payload(
        random.int(8) === 0 ? mutated([first.envelope.payload], random, 5000) : mutatedBytes(map, random),
        ops,
      );
      const [result] = await test.ledger.receive([bytes]);
      note('headers', `${result?.kind ?? ''}:${result?.code ?? ''}`);
      if (result?.entry === undefined) continue;
      try {
        const proof = makeForkProof(first, result.entry);
        note('fork proofs', await test.ledger.receiveProof(proof.bytes));
      } catch (error) {
        note('fork proofs', error instanceof AgrinetError ? error.code : `not ours: ${String(error)}`);
      }
    }
  }
}

async function mutatedStatements(size: number, random: Random, note: Note): Promise<void> {
  const identity = someIdentity(random);
  const receiver = someIdentity(random).peerId;
  for (let i = 0; i < size; i++) {
    const map: Cbor = {
      v: 1,
      net: NET,
      caller: identity.peerId,
      receiver,
      nodeUrl: '',
      region: 'x',
      name: '',
      multiaddrs: ['/ip4/127.0.0.1/tcp/1'],
      schemaVersion: 1,
      time: Date.now(),
      nonce: random.bytes(16),
      tlsFingerprint: '',
    };
    const payload =
      random.int(4) === 0 ? mutated([encodeCbor(map)], random, 9000) : mutatedBytes(map, random);
    try {
      verifyRegistration(signEnvelope(identity, REGISTRATION_ENVELOPE, payload), {
        net: NET,
        receiver,
        now: Date.now(),
      });
      note('statements', 'read');
    } catch (error) {
      note('statements', error instanceof AgrinetError ? error.code : `not ours: ${String(error)}`);
    }
    if (i % 16 === 0) await turn();
  }
}
