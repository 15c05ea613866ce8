import { multiaddr } from '@multiformats/multiaddr';
import { describe, expect, it } from 'vitest';
import { addressAllowed, createDialRule } from '../../../protocols/discovery/dial-rule.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const closed = { allowPrivate: false };
const local = { allowPrivate: false, allowLoopback: true };
const open = { allowPrivate: true };
const [one, two] = [1, 2].map((n) => identityFromSeed(new Uint8Array(32).fill(n)).peerId);

describe('an address that somebody told us', () => {
  it.each([
    ['/ip4/8.8.8.8/tcp/7000', true],
    ['/ip6/2a00:1450:4001:80b::200e/tcp/7000', true],
    ['/ip4/127.0.0.1/tcp/7000', false],
    ['/ip6/::1/tcp/7000', false],
    ['/ip6/::ffff:127.0.0.1/tcp/7000', false],
    ['/ip6/::ffff:8.8.8.8/tcp/7000', false],
    ['/ip6/::127.0.0.1/tcp/7000', false],
    ['/ip6/64:ff9b::7f00:1/tcp/7000', false],
    ['/ip6/2002:7f00:1::/tcp/7000', false],
    ['/ip6/2001:0:7f00:1::/tcp/7000', false],
    ['/ip6/fec0::1/tcp/7000', false],
    ['/ip6/ff02::1/tcp/7000', false],
    ['/ip4/224.0.0.1/tcp/7000', false],
    ['/ip4/192.0.2.1/tcp/7000', false],
    ['/ip4/10.1.2.3/tcp/7000', false],
    ['/ip6zone/eth0/ip6/fe80::1/tcp/7000', false],
    ['/dns4/node.example.org/tcp/7000', false],
    ['/dnsaddr/node.example.org/tcp/7000', false],
    ['/ip4/8.8.8.8/udp/7000', false],
    ['/ip4/8.8.8.8/tcp/0', false],
    ['/unix/%2frun%2fdocker.sock', false],
    [`/ip4/8.8.8.8/tcp/7000/p2p/${one}/p2p-circuit`, true],
    [`/ip4/127.0.0.1/tcp/7000/p2p/${one}/p2p-circuit`, false],
    [`/ip4/8.8.8.8/tcp/7000/p2p/${one}/p2p-circuit/ip4/127.0.0.1/tcp/22`, false],
  ])('%s of a stranger: %s', (text, allowed) => {
    expect(addressAllowed(multiaddr(text), closed, 'stranger')).toBe(allowed);
    // Where this node listens on loopback a stranger is still no reason to dial its ports.
    expect(addressAllowed(multiaddr(text), local, 'stranger')).toBe(allowed);
  });

  it('may be on this machine when a registered peer says so and this node is, or by setting', () => {
    const address = multiaddr('/ip4/127.0.0.1/tcp/22');
    const rule = (policy: { allowPrivate: boolean; allowLoopback?: boolean }) =>
      createDialRule(policy, (peer) => peer === one, []);
    expect(rule(local).mayDial(address, one)).toBe(true);
    expect(rule(local).mayDial(address, two)).toBe(false);
    expect(rule(local).mayDial(address, undefined)).toBe(false);
    expect(rule(closed).mayDial(address, one)).toBe(false);
    expect(rule(open).mayDial(address, two)).toBe(true);
  });
});

describe('what the operator wrote down', () => {
  const rule = createDialRule(closed, () => false, [
    `/ip4/10.0.0.1/tcp/7000/p2p/${one}`,
    '/ip6/0:0:0:0:0:0:0:1/tcp/7000',
    '/dns4/Boot.example.org/tcp/7000',
    'nonsense',
  ]);

  it('may be dialled, in any notation, and nothing else on that account', () => {
    expect(rule.mayDial(multiaddr('/ip4/10.0.0.1/tcp/7000'), undefined)).toBe(true);
    expect(rule.mayDial(multiaddr('/ip6/::1/tcp/7000'), two)).toBe(true);
    expect(rule.mayDial(multiaddr(`/dns4/Boot.example.org/tcp/7000/p2p/${two}`), two)).toBe(true);
    expect(rule.mayDial(multiaddr('/ip4/10.0.0.1/tcp/7001'), undefined)).toBe(false);
    expect(rule.mayDial(multiaddr('/ip6/::1/tcp/22'), undefined)).toBe(false);
    rule.name(['/ip4/127.0.0.1/tcp/9000']);
    expect(rule.mayDial(multiaddr('/ip4/127.0.0.1/tcp/9000'), two)).toBe(true);
  });

  it('may lead to his own network by name; nobody’s name leads to what is no peer’s address', () => {
    expect(rule.nameRefusal('boot.example.org', '10.0.0.1')).toBeUndefined();
    expect(rule.nameRefusal('boot.example.org', '169.254.169.254')).toBeDefined();
    expect(rule.nameRefusal('other.example.org', '10.0.0.1')).toBeDefined();
    expect(rule.nameRefusal('other.example.org', '127.0.0.1')).toBeDefined();
    expect(rule.nameRefusal('other.example.org', '8.8.8.8')).toBeUndefined();
  });
});
