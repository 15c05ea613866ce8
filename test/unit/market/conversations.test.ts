import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { fieldHistory } from '../../../daemon/market/field-history.ts';
import { draftEdit, draftFact, draftPrivate, type Patch } from '../../../protocols/ledger/drafts.ts';
import { participantsOf } from '../../../protocols/market/conversation-members.ts';
import { type Conversations, createConversations } from '../../../protocols/market/conversations.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { Reader } from '../../../storage/reader.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const operator = { operator: true } as const;
const amina = { user: 'amina', operator: false } as const;
const other = someIdentity(randomFrom(3)).peerId;

describe('conversations on a real database', () => {
  const dir = tempDir('conversations');
  let node: TestNode;
  let chat: Conversations;
  /** Others on the same database: one that keeps few places, one that was opened later. */
  const more: Conversations[] = [];

  function open(window?: number): Conversations {
    const made = createConversations({
      self: node.node.identity.peerId,
      ledger: node.node.ledger,
      reader: new Reader(node.node.db),
      history: fieldHistory(node.node.store),
      isActive: () => true,
      now: Date.now,
      bytes: systemEnv.bytes,
      ...(window === undefined ? {} : { window }),
    });
    node.node.hooks.committed.on('conversations', ({ changes }) => made.note(changes));
    more.push(made);
    return made;
  }

  beforeAll(async () => {
    node = await startNode(dir.path);
    chat = open();
  });
  afterAll(async () => {
    await node.stop();
    dir.remove();
  });

  const idOf = ({ key }: RecordState): string => key.split('/').slice(1).join('.');
  const say = (id: string, content: string, nonce?: string) =>
    chat.send(amina, id, { from: 'amina', type: 'text', content, nonce });
  async function begun(...participants: string[]): Promise<{ id: string; key: RecordKey }> {
    const { state } = await chat.create(amina, { title: 't', participants });
    return { id: idOf(state), key: state.key };
  }
  async function pages(of: Conversations, id: string, limit: number): Promise<string[]> {
    const all: string[] = [];
    for (let before: string | undefined; ;) {
      const page = await of.messages(amina, id, limit, before);
      all.unshift(...page.map(({ view }) => String(view['content'])));
      const [first] = page;
      if (first === undefined) return all;
      before = idOf(first);
    }
  }
  const edit = (key: RecordKey, patch: Patch) =>
    node.node.ledger.write({
      keys: [key],
      draft: (pen, read) => [draftEdit(pen, key, key, read(key), patch)],
    });

  it('chains what is said at once, each after what its node held', async () => {
    const { id } = await begun();
    const sent = await Promise.all(Array.from({ length: 200 }, (_, i) => say(id, `m${i}`)));
    const after = new Map(sent.map(({ key, view }) => [view['seen'], key]));
    expect(after.size, 'no two have seen the same').toBe(sent.length);
    const chain: RecordKey[] = [];
    for (let next = after.get(undefined); next !== undefined; next = after.get(next.split('/')[2]))
      chain.push(next);
    expect(chain).toHaveLength(sent.length);
    const texts = new Map(sent.map(({ key, view }) => [key, String(view['content'])]));
    expect(await pages(chat, id, 7)).toEqual(chain.map((key) => texts.get(key)));
  });

  it('pages through all of it once, past what stands in the exact order', async () => {
    const few = open(20);
    const { id } = await begun();
    await few.messages(amina, id, 1);
    for (let i = 0; i < 75; i++) await say(id, `m${i}`);
    const all = Array.from({ length: 75 }, (_, i) => `m${i}`);
    for (const limit of [1, 6, 20, 33, 500]) expect(await pages(few, id, limit), String(limit)).toEqual(all);
    // What is opened anew shows the same as what was kept right commit by commit.
    expect(await pages(open(20), id, 6)).toEqual(all);
    expect(await pages(open(), id, 6)).toEqual(all);
    expect(await pages(chat, id, 6)).toEqual(all);
  });

  it('keeps the order right with whatever comes, as one opened anew finds it', async () => {
    const { id, key } = await begun();
    const random = randomFrom(11);
    const hashes: string[] = [];
    for (let i = 0; i < 40; i++) {
      // What others wrote knowing some of it, with clocks that are anybody's.
      const seen = hashes.filter(() => random.int(4) === 0).join(',');
      const base = { from: `amina@${node.peerId}`, type: 'text', content: `m${i}`, sentAt: random.int(9) };
      const fields = seen === '' ? base : { ...base, seen };
      const { records } = await node.node.ledger.write({
        keys: [key],
        draft: (pen) => [draftFact(pen, 'messages', fields, key)],
      });
      hashes.push(records[0]?.key.split('/')[2] ?? '');
      if (i % 5 === 4) await say(id, `after ${i}`);
      const shown = await pages(chat, id, 500);
      if (i % 5 === 4) expect(shown.at(-1)).toBe(`after ${i}`);
      more.splice(1);
      expect(shown).toEqual(await pages(open(), id, 500));
    }
  });

  it('shows no word that a node puts into the mouth of another’s user', async () => {
    const { id, key } = await begun(`ben@${other}`);
    await say(id, 'mine');
    const facts = [`ben@${other}`, 'ben'].map((from) => ({
      from,
      type: 'text',
      content: 'not his',
      sentAt: 5,
    }));
    for (const fields of facts)
      await node.node.ledger.write({
        keys: [key],
        draft: (pen) => [draftFact(pen, 'messages', fields, key)],
      });
    for (const each of more) {
      expect(await pages(each, id, 1)).toEqual(['mine']);
      const found = await each.find(amina, id);
      if (found === undefined) throw new Error('no conversation');
      const hidden = await each.hidden(found);
      expect(hidden.map(({ reason }) => reason).sort()).toEqual(['from-foreign', 'from-malformed']);
      await expect(each.messages(amina, id, 5, hidden[0]?.id)).rejects.toMatchObject({ code: 'not-found' });
    }
    expect((await say(id, 'again')).view['seen']).toMatch(/^[\w-]{43}$/);
  });

  it('says once what is sent twice under one key, and makes one conversation', async () => {
    const asked = { title: 't', participants: [`ben@${other}`] };
    const [one, two] = await Promise.all([chat.create(amina, asked, 'k'), chat.create(amina, asked, 'k')]);
    expect(two.state.key).toBe(one.state.key);
    expect((await chat.create(amina, asked, 'l')).state.key).not.toBe(one.state.key);
    const id = idOf(one.state);
    const first = await say(id, 'x', 'n1');
    expect((await say(id, 'x', 'n1')).key).toBe(first.key);
    expect((await say(id, 'x', 'n2')).key).not.toBe(first.key);
    more.splice(1);
    expect(await pages(open(), id, 5)).toEqual(['x', 'x']);
  });

  it('keeps who takes part, whoever writes over the list', async () => {
    const { id, key } = await begun(`ben@${other}`);
    const before = await chat.find(amina, id);
    expect(before?.participants).toEqual([`amina@${node.peerId}`, `ben@${other}`]);
    const state = before?.state;
    if (state === undefined) throw new Error('no conversation');
    const forged = JSON.stringify([`eve@${node.peerId}`, 'AAAAAAAAAAAAAAAAAAAAAA']);
    // Concurrent with the creation's: the losing value is still there to be found.
    expect(
      participantsOf({
        ...state,
        view: { ...state.view, participants: forged },
        conflicts: {
          participants: [forged, String(state.view['participants'])].map((value, i) => ({
            value,
            op: `${i}@a`,
          })),
        },
      }),
    ).toEqual(before?.participants);
    for (const participants of [forged, undefined, `${forged} `]) {
      await edit(key, { participants });
      for (const each of more) {
        expect(await each.find({ user: 'eve', operator: false }, id)).toBeUndefined();
        expect((await each.find(amina, id))?.participants).toEqual(before?.participants);
      }
    }
    expect((await say(id, 'still here')).view['from']).toBe(`amina@${node.peerId}`);
  });

  it('names nobody in a conversation whose creation does not bind a list', async () => {
    const created = draftPrivate(
      { author: node.node.identity.peerId },
      'conversations',
      {
        writers: [node.node.identity.peerId],
        participants: [node.node.identity.peerId],
      },
      randomBytes(16),
    );
    const participants = JSON.stringify([`amina@${node.peerId}`]);
    await node.node.ledger.write({
      keys: [created.key],
      draft: (pen) => [created, draftEdit(pen, created.key, created.channel, undefined, { participants })],
    });
    const id = created.key.split('/').slice(1).join('.');
    expect(await chat.find(amina, id)).toBeUndefined();
    expect(await chat.find(operator, id)).toBeDefined();
  });

  it('notes what was read, and never goes back', async () => {
    const { id } = await begun(`ben@${other}`);
    const sent = [];
    for (const text of ['a', 'b', 'c']) sent.push(idOf(await say(id, text)));
    const noted = async (messageId: string) => {
      const { read } = await chat.markRead(amina, id, 'amina', messageId);
      return read[`amina@${node.peerId}`];
    };
    expect(await noted(sent[1] ?? '')).toBe(sent[1]);
    expect(await noted(sent[0] ?? '')).toBe(sent[1]);
    expect(await noted(sent[2] ?? '')).toBe(sent[2]);
    await expect(chat.markRead(amina, id, 'amina', `${node.peerId}.nothing`)).rejects.toMatchObject({
      code: 'not-found',
    });
    for (const who of ['ben', `ben@${other}`])
      await expect(chat.markRead(operator, id, who, sent[0] ?? '')).rejects.toMatchObject({
        code: 'forbidden',
      });
    // A message of another conversation is none of this one.
    const elsewhere = await begun();
    const foreign = idOf(await say(elsewhere.id, 'x'));
    await expect(chat.markRead(amina, id, 'amina', foreign)).rejects.toMatchObject({ code: 'not-found' });
    await expect(chat.messages(amina, id, 5, foreign)).rejects.toMatchObject({ code: 'not-found' });
  });
});
