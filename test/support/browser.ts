import type { TestNode } from './in-process-node.ts';

/** What a browser keeps of one node, without a browser: cookies, and the forms of the page it last saw. */
export class FormBrowser {
  readonly cookies = new Map<string, string>();
  readonly #app: Pick<TestNode['app'], 'request'>;
  readonly #headers: Readonly<Record<string, string>>;

  constructor({ app }: Pick<TestNode, 'app'>, headers: Readonly<Record<string, string>> = {}) {
    this.#app = app;
    this.#headers = headers;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.#ask(path, { headers });
  }

  /** Sends a form, with the token of this session unless the fields have one. */
  async post(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const csrf = fields['csrf'] ?? (await this.csrf());
    return this.#ask(path, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams({ csrf, ...fields }).toString(),
    });
  }

  /** The token in the forms of this session; empty without a session. */
  async csrf(): Promise<string> {
    const text = await (await this.get('/sign-in')).text();
    return /name="csrf" value="([^"]*)"/.exec(text)?.[1] ?? '';
  }

  signIn(key: string, next = ''): Promise<Response> {
    return this.post('/sign-in', { key, next });
  }

  async #ask(
    path: string,
    init: { method?: string; body?: string; headers: Record<string, string> },
  ): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await this.#app.request(path, {
      ...init,
      headers: { host: 'localhost', ...this.#headers, ...(cookie === '' ? {} : { cookie }), ...init.headers },
    });
    for (const each of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(each) ?? [];
      if (value === '' || /max-age=0/i.test(each)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }
}
