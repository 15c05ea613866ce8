import type { ByteStream, StreamClosed, StreamMessage } from '../../../protocols/wire/stream.ts';

interface Listeners {
  readonly message: ((event: StreamMessage) => void)[];
  readonly close: ((event: StreamClosed) => void)[];
  readonly remoteCloseWrite: (() => void)[];
  readonly drain: (() => void)[];
}

/** Carries something to the other end, in order; nothing of it arrives when the connection breaks before. */
export type Carry = (arrive: () => void) => void;

/** One end of a stream in the world: bytes arrive in order, or not at all once the connection has broken. */
export class VirtualStream implements ByteStream {
  readonly protocol: string;
  readonly #carry: Carry;
  readonly #listeners: Listeners = { message: [], close: [], remoteCloseWrite: [], drain: [] };
  readonly #onEnd: () => void;
  #other: VirtualStream | undefined;
  #buffered: Uint8Array[] = [];
  /** Reset: nothing that is still buffered is delivered. */
  #isDead = false;
  status: ByteStream['status'] = 'open';
  readStatus: ByteStream['readStatus'] = 'readable';
  remoteWriteStatus: ByteStream['remoteWriteStatus'] = 'writable';
  readonly writableNeedsDrain = false;

  constructor(protocol: string, carry: Carry, onEnd: () => void) {
    this.protocol = protocol;
    this.#carry = carry;
    this.#onEnd = onEnd;
  }

  /** Joins two ends. */
  static join(a: VirtualStream, b: VirtualStream): void {
    a.#other = b;
    b.#other = a;
  }

  get readBufferLength(): number {
    return this.#buffered.reduce((sum, { length }) => sum + length, 0);
  }

  addEventListener(type: 'message', listener: (event: StreamMessage) => void): void;
  addEventListener(type: 'close', listener: (event: StreamClosed) => void): void;
  addEventListener(type: 'remoteCloseWrite' | 'drain', listener: () => void): void;
  addEventListener(type: keyof Listeners, listener: (event: never) => void): void {
    // Each overload above gives the listener that its list holds.
    (this.#listeners[type] as ((event: never) => void)[]).push(listener);
  }

  send(data: Uint8Array): void {
    if (this.status !== 'open') throw new Error(`the stream is ${this.status}`);
    const bytes = data.slice();
    this.#toOther((other) => other.#arrived(bytes));
  }

  /** The ends may be joined only while this is on its way. */
  #toOther(arrive: (other: VirtualStream) => void): void {
    this.#carry(() => {
      if (this.#other !== undefined) arrive(this.#other);
    });
  }

  #arrived(bytes: Uint8Array): void {
    if (this.#isDead) return;
    if (this.readStatus === 'paused') this.#buffered.push(bytes);
    else for (const tell of this.#listeners.message) tell({ data: bytes });
  }

  pause(): void {
    if (this.readStatus === 'readable') this.readStatus = 'paused';
  }

  resume(): void {
    if (this.readStatus !== 'paused') return;
    this.readStatus = 'readable';
    const waiting = this.#buffered;
    this.#buffered = [];
    for (const bytes of waiting) this.#arrived(bytes);
  }

  async close(): Promise<void> {
    if (this.status !== 'open') return;
    this.status = 'closing';
    this.#toOther((other) => other.#remoteClosed());
    this.#endWhenBothHave();
  }

  #remoteClosed(): void {
    if (this.#isDead) return;
    this.remoteWriteStatus = 'closed';
    for (const tell of this.#listeners.remoteCloseWrite) tell();
    this.#endWhenBothHave();
  }

  get #hasEnded(): boolean {
    return this.status !== 'open' && this.status !== 'closing';
  }

  #endWhenBothHave(): void {
    if (this.status === 'closing' && this.remoteWriteStatus === 'closed') this.#end('closed');
  }

  abort(error: Error): void {
    if (this.#hasEnded) return;
    this.#toOther((other) => other.reset(new Error('reset by the other side')));
    this.#end('aborted', error);
  }

  /** The other side, or the connection, has ended it. */
  reset(error: Error): void {
    this.#end('reset', error);
  }

  #end(status: 'closed' | 'aborted' | 'reset', error?: Error): void {
    if (this.#hasEnded) return;
    this.#isDead = status !== 'closed';
    this.status = status;
    this.#onEnd();
    for (const tell of this.#listeners.close) tell(error === undefined ? {} : { error });
  }
}
