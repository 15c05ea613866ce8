/** An event as it was heard, and when, on the clock of `performance`. */
export interface Heard {
  readonly event: string;
  readonly data: Record<string, unknown>;
  readonly at: number;
}

/** Listens to events as EventSource does: goes on after the last one it had when it was cut off, also across a restart of the node. */
export class ResumingListener {
  readonly heard: Heard[] = [];
  readonly #url: string;
  readonly #key: string;
  readonly #stop = new AbortController();
  #last: string | undefined;
  #connected = false;
  readonly ended: Promise<void>;

  constructor(url: string, key: string) {
    this.#url = url;
    this.#key = key;
    this.ended = this.#run();
  }

  get connected(): boolean {
    return this.#connected;
  }

  close(): Promise<void> {
    this.#stop.abort();
    return this.ended;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#once().catch(() => undefined); // cut off, or not there yet
      this.#connected = false;
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  async #once(): Promise<void> {
    const headers = {
      'x-api-key': this.#key,
      ...(this.#last === undefined ? {} : { 'last-event-id': this.#last }),
    };
    const response = await fetch(this.#url, { headers, signal: this.#stop.signal });
    if (!response.ok) throw new Error(`${response.status}`);
    this.#connected = true;
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        this.#take(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }

  #take(block: string): void {
    const field = (name: string): string | undefined =>
      block
        .split('\n')
        .flatMap((line) => (line.startsWith(`${name}: `) ? [line.slice(name.length + 2)] : []))[0];
    this.#last = field('id') ?? this.#last;
    const event = field('event');
    if (event === undefined || event === 'ping') return;
    const data = JSON.parse(field('data') ?? '{}') as Record<string, unknown>;
    this.heard.push({ event, data, at: performance.now() });
  }
}
