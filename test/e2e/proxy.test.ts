import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { type Daemon, freePort, startDaemon } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const systemd = (name: string): string => fileURLToPath(new URL(`../../systemd/${name}`, import.meta.url));
const NGINX = '/usr/sbin/nginx';
const lacking =
  spawnSync(NGINX, ['-v']).error === undefined
    ? undefined
    : 'no nginx here; install it with: apt-get install nginx-light';

describe.skipIf(lacking !== undefined)(
  `nginx in front, as in systemd/nginx.conf${lacking === undefined ? '' : ` [skipped: ${lacking}]`}`,
  () => {
    const dir = tempDir('nginx');
    const config = join(dir.path, 'nginx.conf');
    let daemon: Daemon;
    let port: number;
    let nginx: ChildProcess | undefined;

    beforeAll(async () => {
      const { cert, key } = makeCertificate('node.example.org');
      const [certFile, keyFile] = [join(dir.path, 'tls.crt'), join(dir.path, 'tls.key')];
      writeFileSync(certFile, cert);
      writeFileSync(keyFile, key, { mode: 0o600 });
      port = await freePort();
      daemon = await startDaemon(join(dir.path, 'data'), {
        PUBLIC_URL: 'https://node.example.org',
        TRUST_PROXY: 'on',
        TLS_CERT_FILE: certFile,
      });
      // The example as it stands but for its names, ports and certificate.
      const site = readFileSync(systemd('nginx.conf'), 'utf8')
        .replaceAll(/\n {2}listen \[::\]:\d+[^;]*;/g, '')
        .replace('listen 80;', `listen 127.0.0.1:${await freePort()};`)
        .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
        .replace('127.0.0.1:5000', new URL(daemon.url).host)
        .replace(/ssl_certificate +\S+;/, `ssl_certificate ${certFile};`)
        .replace(/ssl_certificate_key +\S+;/, `ssl_certificate_key ${keyFile};`);
      mkdirSync(join(dir.path, 'tmp'));
      const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((name) => `${name}_temp_path ${dir.path}/tmp/${name};`)
        .join(' ');
      writeFileSync(join(dir.path, 'site.conf'), site);
      writeFileSync(
        config,
        `daemon off; pid ${dir.path}/pid; error_log ${dir.path}/error.log; ${process.getuid?.() === 0 ? 'user root;' : ''}
events {} http { access_log ${dir.path}/access.log; ${folders} include ${dir.path}/site.conf; }`,
      );
      const checked = spawnSync(NGINX, ['-t', '-q', '-c', config, '-e', join(dir.path, 'error.log')], {
        encoding: 'utf8',
      });
      expect({ status: checked.status, said: checked.stderr }).toEqual({ status: 0, said: '' });
      nginx = spawn(NGINX, ['-c', config, '-e', join(dir.path, 'error.log')], { stdio: 'inherit' });
      await waitFor('nginx', () =>
        ask('/health').then(
          ({ status }) => status === 200,
          () => false,
        ),
      );
    });
    afterAll(async () => {
      if (nginx?.exitCode === null) {
        const ended = once(nginx, 'exit');
        nginx.kill('SIGTERM');
        await ended;
      }
      await daemon.stop();
      dir.remove();
    });

    /** A request to nginx by its name; `onText` hears the body as it comes. */
    function ask(
      path: string,
      {
        body,
        key,
        onText,
        signal,
      }: { body?: string; key?: string; onText?: (text: string) => void; signal?: AbortSignal } = {},
    ): Promise<{ status: number; text: string }> {
      return new Promise((resolve, reject) => {
        const headers = {
          host: 'node.example.org',
          'x-api-key': key ?? daemon.apiKey,
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        };
        const asked = request(
          {
            host: '127.0.0.1',
            port,
            path,
            method: body === undefined ? 'GET' : 'POST',
            headers,
            rejectUnauthorized: false,
            agent: false,
            ...(signal === undefined ? {} : { signal }),
          },
          (response) => {
            let text = '';
            response.setEncoding('utf8').on('data', (part: string) => {
              text += part;
              onText?.(part);
            });
            response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
            response.once('error', reject);
          },
        );
        asked.once('error', reject);
        asked.end(body);
      });
    }

    it('serves the daemon over TLS', async () => {
      expect(await ask('/health')).toEqual({ status: 200, text: '{"status":"ok"}' });
      expect((await ask('/listings', { body: '{"type":"offer","title":"through nginx"}' })).status).toBe(201);
    });

    it('passes an event on as it comes, while the stream goes on', async () => {
      const issued = await ask('/api/keys/issue', { body: '{"userId":"amina","scopes":["read","write"]}' });
      const { key } = JSON.parse(issued.text) as { key: string };
      const made = await ask('/conversations', { key, body: '{"title":"Maize","participants":["ben"]}' });
      expect(made.status, made.text).toBe(201);
      const { id } = JSON.parse(made.text) as { id: string };
      const ended = new AbortController();
      let text = '';
      const stream = ask(`/stream/${id}`, {
        key,
        onText: (part) => (text += part),
        signal: ended.signal,
      }).catch(
        () => undefined, // we end it
      );
      await waitFor('the stream to begin', () => text !== '', 20_000);
      const began = performance.now();
      const sent = await ask(`/messages/${id}`, { key, body: '{"content":"The lorry comes at nine"}' });
      expect(sent.status, sent.text).toBe(201);
      await waitFor('the message', () => text.includes('The lorry comes at nine'), 10_000);
      // Before the next heartbeat, which would flush what is buffered.
      expect(performance.now() - began).toBeLessThan(10_000);
      ended.abort();
      await stream;
      expect(readFileSync(join(dir.path, 'access.log'), 'utf8')).not.toContain('/stream/');
    });

    it('lets the daemon refuse a body that is too large for it, and lets an import through', async () => {
      const refused = await ask('/listings', {
        body: JSON.stringify({ type: 'offer', title: 'x'.repeat(300_000) }),
      });
      expect([refused.status, JSON.parse(refused.text)]).toMatchObject([413, { code: 'body-too-large' }]);
      const rows = Array.from({ length: 20_000 }, (_, i) => ({ id: `row-${i}`, title: 'x'.repeat(60) }));
      const old = JSON.stringify({ listings: rows });
      expect(old.length).toBeGreaterThan(1024 * 1024);
      expect((await ask('/federation/import', { body: old })).status).toBe(200);
      // What the daemon says of it, with its code; nginx would answer 413 with a page.
      for (const path of ['/prices', '/federation/feed-file']) {
        const answer = await ask(path, { body: old });
        expect([path, JSON.parse(answer.text)]).toMatchObject([path, { code: expect.any(String) }]);
      }
    });

    it('keeps the metrics on this machine', async () => {
      expect((await ask('/metrics')).status).toBe(404);
    });
  },
);

const compose = [['docker', 'compose'], ['docker-compose']].find(
  ([command = '', ...args]) => spawnSync(command, [...args, 'version']).status === 0,
);

test.skipIf(compose === undefined)(
  `compose.yaml is what compose understands, and publishes no secret${compose === undefined ? ' [skipped: no docker compose here; install it with: apt-get install docker-compose]' : ''}`,
  () => {
    const [command = '', ...args] = compose ?? [];
    const { status, stdout, stderr } = spawnSync(
      command,
      [...args, '-f', systemd('compose.yaml'), 'config'],
      { encoding: 'utf8' },
    );
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    for (const service of ['agrinetd', 'federation-sync', 'redis', 'dynamodb'])
      expect(stdout).toMatch(new RegExp(`^  ${service}:$`, 'm'));
    expect(stdout.match(/restart: unless-stopped/g)).toHaveLength(4);
    expect(stdout.match(/healthcheck:/g)).toHaveLength(3);
    expect(stdout).not.toMatch(/^ +(API_KEY|JWT_SECRET|FEDERATION_WEBHOOK_SECRET|TWILIO_AUTH_TOKEN):/m);
  },
);
