import { describe, expect, it } from 'vitest';
import { parseManagerConfig } from './config.ts';
import { formatOptions } from './print-config.ts';

function printed(format: 'text' | 'json', argv: readonly string[] = [], env: Record<string, string> = {}): string {
  const result = parseManagerConfig(['--print-config', ...argv], env, () => 'drivers');
  if (!result.ok) throw new Error(result.errors.join(' '));
  return formatOptions(result.effective, format);
}

describe('the printed configuration', () => {
  const argv = ['--module-concurrency=7', '--leader-elect'];
  const env = { KMM_LOG_LEVEL: 'debug', KMM_BUILD_GC_DELAY: '5m' };

  it('says of each option its value and where that came from', () => {
    const lines = printed('text', argv, env).replaceAll(/ +#/g, ' #').split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        '--kubeconfig # not set',
        '--namespace=drivers # /var/run/secrets/kubernetes.io/serviceaccount/namespace',
        '--leader-elect=true # flag',
        '--log-level=debug # KMM_LOG_LEVEL',
        '--module-concurrency=7 # flag',
        '--node-concurrency=16 # default',
        '--build-gc-delay=5m # KMM_BUILD_GC_DELAY',
        '--builder-registries-conf= # default',
      ]),
    );
  });

  it('says the same to programs', () => {
    const rows: unknown = JSON.parse(printed('json', argv, env));
    expect(rows).toEqual(
      expect.arrayContaining([
        { flag: '--module-concurrency', value: '7', from: 'flag', name: '--module-concurrency' },
        { flag: '--log-level', value: 'debug', from: 'env', name: 'KMM_LOG_LEVEL' },
        { flag: '--kubeconfig', value: null, from: 'default', name: '--kubeconfig' },
      ]),
    );
  });

  it('can be given to the operator again as flags, and then means the same', () => {
    const flags = (text: string): readonly string[] =>
      text.split('\n').flatMap((line) => (line.includes('=') ? [line.replace(/ +# .*$/, '')] : []));
    const values = (text: string): readonly string[] => text.split('\n').map((line) => line.replace(/ +# .*$/, ''));
    const first = printed('text', argv, env);
    expect(values(printed('text', flags(first)))).toEqual(values(first));
  });

  it('has every option once', () => {
    const flags = printed('text')
      .split('\n')
      .map((line) => line.split(/[= ]/)[0] ?? '');
    expect(new Set(flags).size).toBe(flags.length);
  });
});
