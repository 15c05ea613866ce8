import { describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { peerUrl, urlRefusal } from '../../../daemon/federation/peer-addresses.ts';

const CLOSED = { allowPrivate: false };
const PRIVATE = { allowPrivate: true };
const LOOPBACK = { allowPrivate: false, allowLoopback: true };

function codeOf(url: string, policy = CLOSED): string {
  try {
    return peerUrl(url, policy).origin;
  } catch (error) {
    return errorCode(error);
  }
}

describe('addresses of peers', () => {
  it.each([
    'https://127.0.0.1',
    'https://2130706433',
    'https://0x7f000001',
    'https://0177.0.0.1',
    'https://127.1',
    'https://%31%32%37.1',
    'https://１２７.0.0.1',
    'https://0',
    'https://10.1.2.3',
    'https://100.64.0.1',
    'https://169.254.169.254',
    'https://[::1]',
    'https://[::]',
    'https://[::ffff:127.0.0.1]',
    'https://[::ffff:8.8.8.8]',
    'https://[::127.0.0.1]',
    'https://[64:ff9b::7f00:1]',
    'https://[2002:7f00:1::]',
    'https://[2001:0:7f00:1::]',
    'https://[fe80::1]',
    'https://[fd00::1]',
    'https://[ff02::1]',
    'https://224.0.0.1',
    'https://255.255.255.255',
    'https://192.0.2.1',
    'https://198.18.0.1',
    'http://8.8.8.8',
    'https://user@8.8.8.8',
    'https://:secret@8.8.8.8',
    'ftp://8.8.8.8',
    'file:///etc/passwd',
    'https://',
    'nonsense',
    `https://8.8.8.8/${'a'.repeat(2048)}`,
  ])('refuses %s', (url) => {
    expect(codeOf(url)).toBe('address-refused');
  });

  it('takes public addresses over https, and names, which the connection judges', () => {
    expect(codeOf('https://8.8.8.8/x?y#z')).toBe('https://8.8.8.8');
    expect(codeOf('https://[2606:4700::1111]:8443')).toBe('https://[2606:4700::1111]:8443');
    expect(codeOf('https://Node.Example.org/')).toBe('https://node.example.org');
  });

  it('takes private ranges and plain http only by setting, and some addresses never', () => {
    expect(codeOf('http://192.168.1.2:5000', PRIVATE)).toBe('http://192.168.1.2:5000');
    expect(codeOf('http://127.0.0.1:5000', LOOPBACK)).toBe('http://127.0.0.1:5000');
    expect(codeOf('http://192.168.1.2:5000', LOOPBACK)).toBe('address-refused');
    expect(codeOf('http://169.254.169.254', PRIVATE)).toBe('address-refused');
    expect(codeOf('http://[::ffff:10.0.0.1]', PRIVATE)).toBe('address-refused');
    expect(urlRefusal('fe80::1%eth0', 'https:', PRIVATE)).toBeDefined();
    expect(urlRefusal('not an address', 'https:', PRIVATE)).toBeDefined();
  });
});
