import { publicId, parseRecordKey, recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { LBTAS } from '../../../protocols/market/lbtas.ts';
import { isLive } from '../../../protocols/open-dialog/record.ts';
import type { HeldContract } from '../../../protocols/market/contract-book/types.ts';
import { countLosses } from './losses.ts';
import type { Member } from './member.ts';
import type { RunningNode } from './node.ts';
import { OPERATOR } from './trade.ts';
import type { World } from './world.ts';

/** Something that users, operators or fate do. */
export interface Operation {
  readonly name: string;
  /** How often, against the others. */
  readonly weight: number;
  run(world: World, member: Member, node: RunningNode): Promise<unknown> | undefined;
}

const userOf = (member: Member): string => `user${member.name}`;

function idOf(key: RecordKey): string {
  const parts = parseRecordKey(key);
  if (parts === undefined) throw new TypeError(`${key} is no record key`);
  return publicId(parts);
}

/** Records of a collection that a node shows. */
async function shown(node: RunningNode, collection: string): Promise<RecordState[]> {
  const found: RecordState[] = [];
  for await (const state of node.reader.all(collection)) if (isLive(state)) found.push(state);
  return found;
}

async function oneOf(
  world: World,
  node: RunningNode,
  collection: string,
  fits: (state: RecordState) => boolean,
): Promise<RecordState | undefined> {
  const found = (await shown(node, collection)).filter(fits);
  return found.length === 0 ? undefined : world.chance.pick(found);
}

const isBy = (owner: PeerId) => (state: RecordState) => parseRecordKey(state.key)?.owner === owner;

async function list(world: World, member: Member, node: RunningNode): Promise<void> {
  const id = `l${world.nextNo()}`;
  const quantity = 1 + world.chance.below(4);
  world.stock.quantities.set(publicId({ owner: member.peerId, id }), quantity);
  await node.book.catalogue.createListing({
    id,
    type: 'offer',
    title: `Maize ${id}`,
    unit: 'bag',
    price: 10 + world.chance.below(90),
    currency: 'KES',
    quantity,
    userId: userOf(member),
  });
}

async function editListing(world: World, member: Member, node: RunningNode): Promise<void> {
  const listing = await oneOf(world, node, 'listings', isBy(member.peerId));
  if (listing === undefined) return;
  const patch = { title: `Beans ${world.chance.below(9)}`, price: 10 + world.chance.below(90) };
  await node.book.catalogue.patch(listing.key, patch);
}

async function price(world: World, _: Member, node: RunningNode): Promise<void> {
  await node.book.catalogue.addPrice({
    date: '2026-01-14',
    market: `Market ${world.chance.below(5)}`,
    commodity: 'Maize',
    unit: 'KG',
    currency: 'KES',
    price: 1 + world.chance.below(100),
    priceType: 'Retail',
  });
}

/** Listings that are asked for, the newest. */
const WANTED = 5;

/** A contract on somebody's listing, or between users of two nodes; the buyer's node proposes it at once. */
async function buy(world: World, _: Member, node: RunningNode): Promise<void> {
  const { liar } = world;
  const listings = await shown(node, 'listings');
  const honest = listings.filter((state) => liar === undefined || !isBy(liar.peerId)(state));
  // What is new is what is wanted: so more is asked for than there is.
  const newest = honest.sort((a, b) => b.created[0] - a.created[0]).slice(0, WANTED);
  if (newest.length === 0) return;
  const listing = world.chance.pick(newest);
  const { unit = 'bag', price: each = 1, currency = 'KES', title = 'Maize' } = listing.view;
  const body = { listingId: idOf(listing.key), title, unit, price: each, currency };
  const { state } = await node.book.create(
    { ...body, quantity: 1 + world.chance.below(3) },
    { operator: false, userId: `buyer${world.chance.below(2)}` },
    `c${world.nextNo()}`,
  );
  if (world.chance() < 0.7) goOn(world, state.key, 'accept');
}

/** The parties of a contract go on with it: each step a little later, where its node runs then, and not always. */
function goOn(world: World, key: RecordKey, kind: 'accept' | 'settle' | 'rate'): void {
  for (const member of world.members)
    world.time.after(1_000 + world.chance.below(12_000), () => {
      const { running } = member;
      if (running === undefined || world.isSettling || member === world.liar) return;
      world.attempt(member, `${kind} in turn`, () => takeTurn(world, member, running, key, kind));
    });
}

async function takeTurn(
  world: World,
  member: Member,
  node: RunningNode,
  key: RecordKey,
  kind: 'accept' | 'settle' | 'rate',
): Promise<void> {
  const held = (await node.book.get(key, OPERATOR)).held;
  const as = held?.contract.parties.find((party) => party.endsWith(member.peerId));
  if (held === undefined || as === undefined) return;
  if (kind === 'rate') {
    if (held.verdict.state === 'settled') await rateAs(world, node, key, as);
    return;
  }
  if (!fits(held, as, kind)) return;
  const { held: now } = await node.book.step(key, { as, kind }, OPERATOR);
  if (kind === 'accept' && world.chance() < 0.8) goOn(world, key, 'settle');
  if (now?.verdict.state === 'settled' && world.chance() < 0.7) goOn(world, key, 'rate');
}

async function rateAs(world: World, node: RunningNode, contract: RecordKey, from: string): Promise<void> {
  const score = LBTAS.min + world.chance.below(LBTAS.max - LBTAS.min + 1);
  await node.submission.submit({ contract, from, score }, OPERATOR);
  world.count('rated');
}

type Step = 'propose' | 'accept' | 'settle' | 'cancel' | 'hold';

/** Whether a party can take a step as a contract stands; what it really comes to, the program says. */
function fits({ contract, statements, verdict }: HeldContract, party: string, kind: Step): boolean {
  const { state } = verdict;
  switch (kind) {
    case 'accept':
      return (
        state === 'proposed' &&
        statements.some(({ transition }) => transition.kind === 'propose' && transition.party !== party)
      );
    case 'settle':
      return state === 'accepted' && !verdict.settledBy.includes(party);
    case 'hold':
      return contract.stock && contract.supplier === party && (state === 'draft' || state === 'proposed');
    case 'propose':
    case 'cancel':
      return state !== 'settled' && state !== 'cancelled';
  }
}

/** A step of this kind in a contract that a node takes part in. */
async function step(world: World, member: Member, node: RunningNode, kind: Step): Promise<void> {
  const steps: { readonly key: RecordKey; readonly as: string }[] = [];
  for (const { key, channel } of await shown(node, 'contracts')) {
    const held = channel === 'public' ? undefined : (await node.book.get(key, OPERATOR)).held;
    for (const as of held?.contract.parties ?? [])
      if (as.endsWith(member.peerId) && held !== undefined && fits(held, as, kind)) steps.push({ key, as });
  }
  if (steps.length === 0) return;
  const { key, as } = world.chance.pick(steps);
  const validUntil = node.env.now() + 5_000 + world.chance.below(60_000);
  await node.book.step(key, kind === 'hold' ? { as, kind: 'propose', validUntil } : { as, kind }, OPERATOR);
}

/** Rates whom a user of this node has settled a contract with, or thinks better of it. */
async function rate(world: World, member: Member, node: RunningNode): Promise<void> {
  const settled: { readonly contract: RecordKey; readonly from: string }[] = [];
  for (const { key, channel } of await shown(node, 'contracts')) {
    const held = channel === 'public' ? undefined : (await node.book.get(key, OPERATOR)).held;
    if (held?.verdict.state !== 'settled') continue;
    for (const from of held.contract.parties)
      if (from.endsWith(member.peerId)) settled.push({ contract: key, from });
  }
  if (settled.length === 0) return;
  const { contract, from } = world.chance.pick(settled);
  await rateAs(world, node, contract, from);
}

/** Says yes to what waits for a yes, to so many at most: a node that does not know what it has promised would promise it again. */
export async function acceptSome(
  world: World,
  member: Member,
  node: RunningNode,
  most: number,
): Promise<void> {
  let left = most;
  const contracts = (await shown(node, 'contracts')).map((state) => ({ ...state, at: world.chance() }));
  for (const { key, channel } of contracts.sort((a, b) => a.at - b.at)) {
    if (channel === 'public') continue;
    const sight = await node.book.get(key, OPERATOR);
    const { contract, verdict } = sight.held ?? {};
    if (contract?.supplier.endsWith(member.peerId) !== true || verdict?.state !== 'proposed' || left-- <= 0)
      continue;
    world.attempt(member, 'accept', () =>
      node.book.step(key, { as: contract.supplier, kind: 'accept' }, OPERATOR),
    );
  }
}

async function editContract(world: World, _: Member, node: RunningNode): Promise<void> {
  const contract = await oneOf(world, node, 'contracts', ({ channel }) => channel !== 'public');
  if (contract === undefined) return;
  await node.book.patch(contract.key, { notes: `note ${world.chance.below(5)}` }, OPERATOR);
}

async function converse(world: World, member: Member, node: RunningNode): Promise<void> {
  const others = world.members.filter((other) => other !== member && other !== world.liar);
  const participants = others
    .filter(({ peerId }) => node.registry.isActive(peerId))
    .slice(0, 1 + world.chance.below(3))
    .map((other) => `${userOf(other)}@${other.peerId}`);
  await node.conversations.create(
    { operator: false, user: userOf(member) },
    { title: 'Seeds', participants },
    `t${world.nextNo()}`,
  );
}

async function conversationOf(world: World, node: RunningNode): Promise<string | undefined> {
  const state = await oneOf(world, node, 'conversations', () => true);
  return state && idOf(state.key);
}

async function send(world: World, member: Member, node: RunningNode): Promise<void> {
  const conversation = await conversationOf(world, node);
  if (conversation === undefined) return;
  const no = world.nextNo();
  const content = `word-${world.seed}-${no}-`;
  const sent = await node.conversations.send({ operator: false, user: userOf(member) }, conversation, {
    from: userOf(member),
    type: 'text',
    content,
    nonce: `m${no}`,
  });
  world.messages.push({ by: member, conversation, id: idOf(sent.key), key: sent.key, content });
}

async function editConversation(world: World, member: Member, node: RunningNode): Promise<void> {
  const conversation = await conversationOf(world, node);
  if (conversation === undefined) return;
  const fields = { title: `Title ${world.chance.below(6)}`, pinned: world.chance() < 0.5 };
  await node.conversations.edit({ operator: false, user: userOf(member) }, conversation, fields);
}

/** All who take part in a conversation rename it at once. */
async function editTogether(world: World, _: Member, node: RunningNode): Promise<void> {
  const state = await oneOf(
    world,
    node,
    'conversations',
    ({ members }) => (members?.writers.length ?? 0) > 1,
  );
  for (const member of world.members) {
    const { running } = member;
    if (state?.members?.writers.includes(member.peerId) !== true || running === undefined) continue;
    const fields = { title: `Title ${world.chance.below(6)} of ${member.name}` };
    world.attempt(member, 'edit at once', () =>
      running.conversations.edit({ operator: false, user: userOf(member) }, idOf(state.key), fields),
    );
  }
}

async function erase(world: World, member: Member, node: RunningNode): Promise<void> {
  const message = world.chance.pick(world.messages);
  if (message.by !== member) return;
  await node.erasures.message(message.conversation, message.id, undefined);
  world.erased(member, message);
}

async function eraseListing(world: World, member: Member, node: RunningNode): Promise<void> {
  const listing = await oneOf(world, node, 'listings', isBy(member.peerId));
  if (listing !== undefined && world.chance() < 0.5) await node.erasures.listing(listing.key);
}

async function remove(world: World, member: Member, node: RunningNode): Promise<void> {
  const listing = await oneOf(world, node, 'listings', isBy(member.peerId));
  if (listing !== undefined) await node.book.catalogue.remove(listing.key);
}

async function profile(world: World, member: Member, node: RunningNode): Promise<void> {
  const key = recordKey('nodes', member.peerId, 'profile');
  await node.book.catalogue.putProfile({ name: `Node ${world.chance.below(9)}`, region: 'ke' });
  world.note(key);
}

/** Whoever leaves out a node that a recovery waits for does without what was promised to it: these operators do not. */
function mayLeaveOut(node: RunningNode, other: Member): boolean {
  return node.registry.isActive(other.peerId) && node.rejoin.status().recovery === undefined;
}

async function suspend(world: World, member: Member, node: RunningNode): Promise<void> {
  const other = world.chance.pick(world.members);
  if (other === member || !mayLeaveOut(node, other)) return;
  member.suspend(other.peerId); // the word counts from before it is on the disk
  await node.registry.change(other.peerId, 'suspend');
}

async function resume(_: World, __: Member, node: RunningNode): Promise<void> {
  for (const { peerId, status } of node.registry.list())
    if (status === 'suspended') await node.registry.change(peerId, 'resume');
}

/** For good, and all that it left goes; then it is taken up again after all. */
async function forget(world: World, member: Member, node: RunningNode): Promise<void> {
  const other = world.chance.pick(world.members);
  if (other === member || world.isSettling || !mayLeaveOut(node, other)) return;
  member.suspend(other.peerId);
  await node.registry.change(other.peerId, 'revoke');
  world.time.after(20_000 + world.chance.below(60_000), () => {
    const { running } = member;
    if (running === undefined || running.registry.get(other.peerId)?.status !== 'revoked') return;
    world.attempt(member, 'approve', () => running.registry.change(other.peerId, 'approve'));
  });
  await node.forget.run(other.peerId, () => undefined);
  countLosses(world.chronicle, world.members); // the last copy of what its author has lost may have gone
  world.count('forgotten');
}

/** What users do. */
export const USES: readonly Operation[] = [
  { name: 'list', weight: 4, run: list },
  { name: 'edit listing', weight: 6, run: editListing },
  { name: 'price', weight: 4, run: price },
  { name: 'buy', weight: 16, run: buy },
  { name: 'accept', weight: 6, run: (...who) => step(...who, 'accept') },
  { name: 'settle', weight: 2, run: (...who) => step(...who, 'settle') },
  { name: 'cancel', weight: 1, run: (...who) => step(...who, 'cancel') },
  { name: 'rate', weight: 1, run: rate },
  { name: 'hold', weight: 4, run: (...who) => step(...who, 'hold') },
  { name: 'propose', weight: 1, run: (...who) => step(...who, 'propose') },
  { name: 'edit contract', weight: 4, run: editContract },
  { name: 'converse', weight: 3, run: converse },
  { name: 'send', weight: 10, run: send },
  { name: 'edit conversation', weight: 5, run: editConversation },
  { name: 'edit together', weight: 4, run: editTogether },
  {
    name: 'erase',
    weight: 3,
    run: (world, ...who) => (world.messages.length > 0 ? erase(world, ...who) : undefined),
  },
  { name: 'erase listing', weight: 1, run: eraseListing },
  { name: 'remove', weight: 2, run: remove },
  { name: 'profile', weight: 1, run: profile },
  { name: 'suspend', weight: 1, run: suspend },
  { name: 'forget', weight: 2, run: forget },
  { name: 'resume', weight: 2, run: resume },
  { name: 'back up', weight: 4, run: (_, member) => member.backUp() },
];
