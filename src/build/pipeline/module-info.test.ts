import { describe, expect, it } from 'vitest';

import { kernelOfVermagic, parseModinfo } from './module-info.ts';

const fields = (...list: readonly string[]) => list.map((field) => `${field}\0`).join('');

describe('what modinfo prints', () => {
  const answer = fields(
    'filename:       /w/hello.ko',
    'description=two\nlines with signer: Mallory',
    'vermagic=6.1.0-56-cloud-amd64 SMP preempt mod_unload modversions ',
    'sig_id=PKCS#7',
    'signer=Acme: a signer',
    'sig_key=01:AB',
    'signature=AA:BB\n\t\tCC',
  );

  it('is vermagic, signer and key', () => {
    expect(parseModinfo(answer, true)).toEqual({
      vermagic: '6.1.0-56-cloud-amd64 SMP preempt mod_unload modversions',
      signer: 'Acme: a signer',
      sigKey: '01:AB',
    });
  });

  it('of a module without a signature has no signer, whatever the module says of itself', () => {
    expect(parseModinfo(answer, false)).toEqual({ vermagic: expect.stringContaining('6.1.0-56') });
  });

  it('has the signature’s own signer last, behind one that the module’s author wrote', () => {
    expect(parseModinfo(fields('signer=Mallory', 'signer=Acme'), true).signer).toBe('Acme');
  });

  it('may be nothing', () => {
    expect(parseModinfo('', true)).toEqual({ vermagic: '' });
  });
});

it('a kernel release is the first word of a vermagic', () => {
  expect(kernelOfVermagic('6.1.0-56-cloud-amd64 SMP')).toBe('6.1.0-56-cloud-amd64');
  expect(kernelOfVermagic('')).toBe('');
});
