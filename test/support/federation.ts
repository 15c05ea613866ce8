import { randomBytes } from 'node:crypto';
import { type Daemon, type DaemonProcess, join, startDaemon, startDaemonHere } from './daemon.ts';
import { tempDir } from './temp-dir.ts';
import { waitFor } from './wait.ts';

/** What `GET /federation/digest` answers. */
export interface DigestAnswer {
  readonly digest: string;
  readonly owners: Readonly<
    Record<
      string,
      {
        readonly frontier: readonly unknown[];
        readonly digest: string;
        readonly collections: Readonly<Record<string, { readonly count: number; readonly digest: string }>>;
      }
    >
  >;
}

/** One daemon of a test, its folder and who it is. */
export type Member<D extends Daemon = Daemon> = D & {
  readonly dir: string;
  readonly peerId: string;
  /** With the peer id at the end. */
  readonly multiaddr: string;
};

/** One whose process a test has to do with. */
export type ProcessMember = Member<DaemonProcess>;

type Start<D extends Daemon> = (
  dir: string,
  env: Record<string, string>,
  prefix?: readonly string[],
) => Promise<D>;

/** Daemons of one network that know one bootstrap address. `close` stops them all and removes their folders. */
class Members<D extends Daemon> {
  readonly members: Member<D>[] = [];
  readonly #network = `test-${randomBytes(6).toString('hex')}`;
  readonly #dirs: { path: string; remove(): void }[] = [];
  readonly #start: Start<D>;

  constructor(start: Start<D>) {
    this.#start = start;
  }

  /** Starts one more; the first is the bootstrap address of the rest. */
  async add(env: Record<string, string> = {}, prefix: readonly string[] = []): Promise<Member<D>> {
    const dir = tempDir('e2e');
    this.#dirs.push(dir);
    return await this.start(dir.path, env, prefix);
  }

  /** Starts a daemon in a folder that may hold an earlier life of it. */
  async start(
    dir: string,
    env: Record<string, string> = {},
    prefix: readonly string[] = [],
  ): Promise<Member<D>> {
    const [first] = this.members;
    const daemon = await this.#start(
      dir,
      {
        MYCELIUM_NETWORK: this.#network,
        ...(first === undefined || first.dir === dir ? {} : { MYCELIUM_PEERS: first.multiaddr }),
        ...env,
      },
      prefix,
    );
    const { peerId, multiaddrs } = await daemon.json<{ peerId: string; multiaddrs: string[] }>(
      'GET',
      '/federation/identity',
    );
    const address = multiaddrs[0] ?? '';
    const multiaddr = address.includes('/p2p/') ? address : `${address}/p2p/${peerId}`;
    const member = { ...daemon, dir, peerId, multiaddr };
    const index = this.members.findIndex((each) => each.dir === dir);
    if (index === -1) this.members.push(member);
    else this.members[index] = member;
    return member;
  }

  /** Registers every pair with one another. */
  async registerAll(): Promise<void> {
    for (const [i, one] of this.members.entries())
      for (const other of this.members.slice(i + 1)) await join(one, other);
  }

  async close(): Promise<void> {
    const codes = await Promise.allSettled(this.members.map((member) => member.stop()));
    for (const dir of this.#dirs) dir.remove();
    for (const code of codes) if (code.status === 'rejected') throw code.reason;
  }
}

/** Its daemons run in the process of the test: the same parts, sockets and files, and none of the seconds that a process takes to start. */
export class Federation extends Members<Daemon> {
  constructor() {
    super((dir, env) => startDaemonHere(dir, env));
  }
}

/** Its daemons are processes of their own, for what only a process can show. */
export class ProcessFederation extends Members<DaemonProcess> {
  constructor() {
    super(startDaemon);
  }
}

/** The digest with its owners. */
export const digestOf = (daemon: Daemon): Promise<DigestAnswer> =>
  daemon.json<DigestAnswer>('GET', '/federation/digest');

/** Records of a collection over all owners, by the digest's own count. */
export function counted(state: DigestAnswer, collection: string): number {
  return Object.values(state.owners).reduce(
    (sum, { collections }) => sum + (collections[collection]?.count ?? 0),
    0,
  );
}

/** Waits until every daemon shows the same digest and `whole` agrees to it; returns it. */
export async function sameDigest(
  daemons: readonly Daemon[],
  ms: number,
  whole: (state: DigestAnswer) => boolean = () => true,
): Promise<DigestAnswer> {
  let states: DigestAnswer[] = [];
  try {
    return await waitFor(
      'equal digests',
      async () => {
        states = await Promise.all(daemons.map(digestOf));
        const [first] = states;
        const equal = first !== undefined && states.every(({ digest }) => digest === first.digest);
        return equal && whole(first) ? first : undefined;
      },
      ms,
    );
  } catch (error) {
    const seen = states.map(({ digest, owners }) => [
      digest.slice(0, 12),
      Object.entries(owners).map(([id, { collections }]) => [id.slice(-6), collections]),
    ]);
    throw new Error(`the digests differ: ${JSON.stringify(seen)}`, { cause: error });
  }
}

/** Lines of the log that tell of trouble: level warn or worse, or no log line at all (a crash). */
export function complaints(daemon: Daemon): string[] {
  return daemon
    .output()
    .split('\n')
    .filter((line) => line.trim() !== '')
    .filter((line) => {
      const level = /^\{"level":(\d+)/.exec(line)?.[1];
      return level === undefined || Number(level) >= 40;
    });
}
