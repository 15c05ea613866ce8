import type { StepRequest } from '../../api/ports/contracts.ts';
import type { User } from '../../api/ports/users.ts';
import { readTexts } from '../../daemon/notices/texts.ts';
import { AnswerCodes, type CodeRow } from '../../daemon/sms/answer-codes.ts';
import { IncomingSms } from '../../daemon/sms/incoming.ts';
import type { Env } from '../../protocols/env.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { Database } from '../../storage/database.ts';
import { SmsTable } from '../../storage/sms-table.ts';
import { tempDir } from './temp-dir.ts';
import { signedSms } from './twilio-server.ts';
import { nodeOf } from './vectors/signatures.ts';

const { peerId } = nodeOf(2);
const TOKEN = 'token-of-the-stand-in';
const PUBLIC_URL = 'https://market.example';
const SUM = { sum: 4400, currency: 'KES' };

/** What answers SMS, over a database of its own; the contracts do as they are told. */
export async function answerBench(env: Pick<Env, 'now' | 'monotonic' | 'bytes'>, dbEnv: Env) {
  const dir = tempDir('answers');
  const db = await Database.open(dir.path, dbEnv);
  const table = new SmsTable<never, CodeRow>(db);
  const codes = new AnswerCodes(table, env);
  const users: User[] = [{ id: 'amina', phone: '+254700000001' }];
  const steps: {
    readonly contract: string;
    readonly request: StepRequest;
    readonly by: string | undefined;
  }[] = [];
  const audited: string[] = [];
  const state: { fails?: Error } = {};
  const languages = await readTexts();
  let messages = 0;
  const open = () =>
    new IncomingSms({
      table,
      batch: (ops) => db.batch(ops, true),
      authToken: TOKEN,
      publicUrl: PUBLIC_URL,
      users: {
        byPhone: (phone) => users.filter((user) => user.phone === phone),
        async change(id, { sms }) {
          const at = users.findIndex((user) => user.id === id);
          const changed = { ...users[at], id, sms: sms ?? true };
          users.splice(at, 1, changed);
          return changed;
        },
      },
      contracts: {
        async step(contract, request, { userId }) {
          if (state.fails !== undefined) throw state.fails;
          steps.push({ contract, request, by: userId });
          return { state: {}, pings: [] } as never; // what it gives is not looked at
        },
      },
      audit: {
        async during({ key, user }, work) {
          audited.push(`${key} ${user}`);
          await work();
        },
        wrote: (_, what, subject) => void audited.push(`${what} ${subject}`),
      },
      languages,
      env,
      warn: () => undefined,
    });
  let sms = open();
  return {
    users,
    steps,
    audited,
    table,
    /** How steps fail from now on. */
    state,
    /** Draws a code for a proposal of a contract. */
    issue: async (n: number, user: User = { id: 'amina', phone: '+254700000001' }) => {
      const contract = recordKey('contracts', peerId, `c${n}`);
      const proposal = String(n).padStart(64, '0');
      const issued = await codes.issue({ contract, proposal, ...SUM }, user);
      if (issued !== undefined) await db.batch([...issued.ops], true);
      return issued?.code;
    },
    /** What is answered to an SMS. */
    receive: (body: string, { from = '+254700000001', sid = `SM${messages++}` } = {}) =>
      sms.incoming({
        ...signedSms(`${PUBLIC_URL}/sms/incoming`, { from, body, sid }),
        path: '/sms/incoming',
      }),
    incoming: (request: Parameters<IncomingSms['incoming']>[0]) => sms.incoming(request),
    restart() {
      sms = open();
    },
    async close() {
      await db.close();
      dir.remove();
    },
  };
}

export type AnswerBench = Awaited<ReturnType<typeof answerBench>>;
