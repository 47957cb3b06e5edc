import { describe, expect, it } from 'vitest';
import { type MatchOptions, readMatchCommandLine } from './match-options.ts';

function optionsOf(...argv: string[]): MatchOptions {
  const line = readMatchCommandLine(argv);
  if (line.kind !== 'run') throw new Error(`not run: ${JSON.stringify(line)}`);
  return line.options;
}

function errorsOf(...argv: string[]): readonly string[] {
  const line = readMatchCommandLine(argv);
  return line.kind === 'refused' ? line.errors : [];
}

describe('the command line of kmm match', () => {
  it('needs a kernel and no more', () => {
    expect(optionsOf('--kernel', '6.1.0')).toEqual({
      file: undefined,
      kernels: ['6.1.0'],
      arch: 'amd64',
      namespace: undefined,
      output: 'text',
    });
  });

  it('takes many kernels, in their order, and every flag in its short form', () => {
    const argv = ['-f', 'm.yaml', '-k', 'b', '--kernel=a', '-k', 'b', '-a', 'arm64', '-n', 'ns', '-o', 'json'];
    expect(optionsOf(...argv)).toEqual({
      file: 'm.yaml',
      kernels: ['b', 'a', 'b'],
      arch: 'arm64',
      namespace: 'ns',
      output: 'json',
    });
  });

  it('takes - for a file and what begins with a dash for a kernel', () => {
    expect(optionsOf('-f', '-', '-k', '-odd')).toMatchObject({ file: '-', kernels: ['-odd'] });
  });

  it.each([
    [[], 'No kernel is given; write --kernel and a release as uname -r prints it.'],
    [['-k', ''], '--kernel: "" is not a kernel release; write it as uname -r prints it.'],
    [['--kernel'], '--kernel needs a value.'],
    [['-k', 'a', '-f'], '--file needs a value.'],
    [['-k', 'a', '-o', 'yaml'], '--output: "yaml" is not one of text, json.'],
    [['-k', 'a', '--kernal', 'b'], '--kernal is not a known flag; did you mean --kernel.'],
    [['-k', 'a', 'm.yaml'], '"m.yaml" is not an option; the Module is given as -f m.yaml.'],
  ])('refuses %j: %s', (argv, sentence) => {
    expect(errorsOf(...argv)).toContain(sentence);
  });

  it.each([
    ['x86_64', 'amd64'],
    ['aarch64', 'arm64'],
  ])("does not take the kernel's %s for Kubernetes' %s", (arch, meant) => {
    expect(errorsOf('-k', 'a', '-a', arch)).toEqual([expect.stringContaining(`; Kubernetes calls it ${meant}.`)]);
  });

  it('names every mistake at once', () => {
    expect(errorsOf('-o', 'x', '-a', 'y')).toHaveLength(3);
  });

  it('explains exit codes and output in its help', () => {
    const line = readMatchCommandLine(['--help']);
    expect(line).toMatchObject({ kind: 'help' });
    for (const words of ['Exit code: 0', '--kernel <release>', 'buildArgs', 'kubectl get module']) {
      expect(line).toHaveProperty('text', expect.stringContaining(words));
    }
  });
});
