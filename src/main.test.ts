import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';

// Each test starts a process or two, and on a machine that is busy one alone takes seconds.
vi.setConfig({ testTimeout: 60_000 });

const SAMPLE = 'config/samples/module-sample.yaml';

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(command: string, args: readonly string[], input = ''): Promise<Outcome> {
  const child = spawn(command, args, { stdio: 'pipe' });
  // A command that does not read its input may be gone before it is written.
  child.stdin.on('error', () => undefined).end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
}

const kmm = (args: readonly string[], input?: string): Promise<Outcome> =>
  run(process.execPath, ['src/main.ts', ...args], input);

describe('kmm', () => {
  it.each([[[]], [['help']], [['--help']], [['-h']]])('shows what there is when called with %j', async (args) => {
    const { code, stdout, stderr } = await kmm(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const command of ['manager', 'match', 'version', 'help']) expect(stdout).toContain(`  ${command} `);
  });

  it('prints its version', async () => {
    expect(await kmm(['version'])).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^kmm \d+\.\d+\.\d+\S*\n$/),
      stderr: '',
    });
  });

  it.each(['mtach', 'constructor', '--kernel'])('refuses the command %s in one sentence', async (word) => {
    expect(await kmm([word])).toEqual({
      code: 1,
      stdout: '',
      stderr: `kmm: "${word}" is not a command; kmm help lists them all.\n`,
    });
  });

  it('shows the help of a command', async () => {
    const { stdout } = await kmm(['help', 'match']);
    expect(stdout).toContain('Usage: kmm match');
    expect((await kmm(['match', '--help'])).stdout).toBe(stdout);
  });
});

describe('kmm match', () => {
  it('prints the mappings of a file as JSON', async () => {
    const kernels = ['5.16.11-200.fc35.x86_64', '5.4.0-1055-gke'].flatMap((kernel) => ['--kernel', kernel]);
    const { code, stdout, stderr } = await kmm(['match', '-f', SAMPLE, ...kernels, '-o', 'json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject([
      { mappingIndex: 0, image: 'quay.io/vendor/module-sample:fedora-5.16.11-200.fc35.x86_64', build: false },
      { mappingIndex: 2, image: 'quay.io/vendor/module-sample:gke', buildArgs: { SOME_KEY: 'SOME_VALUE' } },
    ]);
  });

  it.each([[[]], [['-f', '-']]])('reads standard input when told %j', async (args) => {
    const { code, stdout } = await kmm(['match', ...args, '-k', '5.4.0-1054-gke'], readFileSync(SAMPLE, 'utf8'));
    expect(code).toBe(0);
    expect(stdout).toContain('  image       quay.io/vendor/module-sample:ubuntu-5.4.0-1054-gke\n');
    expect(stdout).toContain('MOD_NAMESPACE=default\n');
  });

  it('takes the namespace from the command line', async () => {
    const { stdout } = await kmm(['match', '-f', SAMPLE, '-k', '5.4.0-1054-gke', '-n', 'drivers']);
    expect(stdout).toContain('MOD_NAMESPACE=drivers\n');
  });

  it('ends with 2 when a kernel matches no mapping, and still answers for the others', async () => {
    const { code, stdout } = await kmm(['match', '-f', SAMPLE, '-k', '6.1.0', '-k', '5.4.0-1054-gke']);
    expect(code).toBe(2);
    expect(stdout).toMatch(/^6\.1\.0\n {2}mapping {5}none matches.*\n\n5\.4\.0-1054-gke\n/);
  });

  it.each([
    [['-f', SAMPLE], '', 'No kernel is given; '],
    [['-f', 'no/such/file', '-k', 'a'], '', 'Cannot read no/such/file: ENOENT'],
    [['-k', 'a'], '', 'standard input: it is empty: write a Module.'],
    [['-k', 'a'], 'x'.repeat(9 * 1024 * 1024), 'Cannot read standard input: it is longer than'],
    [['-k', 'a', '-f', 'package.json'], '', 'package.json: there is no Module, only an object without kind.'],
  ])('ends with 1 and a sentence for %j', async (args, input, sentence) => {
    const { code, stdout, stderr } = await kmm(['match', ...args], input);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`kmm match: ${sentence}`);
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  it('does not mind when nobody reads to the end', async () => {
    const many = Array.from({ length: 2_000 }, (_, index) => `-k 6.1.${index}`).join(' ');
    const pipe = `"${process.execPath}" src/main.ts match -f ${SAMPLE} ${many} | head -c 1`;
    expect(await run('sh', ['-c', pipe])).toEqual({ code: 0, stdout: '6', stderr: '' });
  });
});

describe('npx kmm in a checkout', () => {
  it("runs the sources, whichever Node the caller's is", async () => {
    // In `make test` the first in PATH is the one that npm installed; a person's own comes after it.
    const path = (process.env.PATH ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
    const { code, stdout, stderr } = await run('env', [
      `PATH=${path.join(':')}`,
      'hack/kmm.js',
      'match',
      '-f',
      SAMPLE,
      '-k',
      'a',
    ]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    expect(stdout).toContain('none matches');
  });
});
