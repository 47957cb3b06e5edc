import { describe, expect, it } from 'vitest';
import { readImagesCommandLine } from './images-options.ts';

describe('kmm images', () => {
  it.each<[string, object]>([
    ['', { kind: 'list', output: 'text' }],
    ['-o json', { kind: 'list', output: 'json' }],
    ['--mirror-to registry.example.com/kmm/', { kind: 'mirror', target: 'registry.example.com/kmm' }],
  ])('reads %j', (words, expected) => {
    expect(readImagesCommandLine(words.split(' ').filter(Boolean))).toEqual(expected);
  });

  it.each<[string, string]>([
    ['-o yaml', '--output: "yaml" is not one of text, json.'],
    [
      '--mirror-to mirror',
      '--mirror-to: "mirror" begins with no registry: write a host with a dot or a port, or localhost.',
    ],
    ['--mirror-to a.example -o json', '--mirror-to prints a script, and no JSON.'],
    ['--mirror-at a.example', '--mirror-at is not a known flag; did you mean --mirror-to?.'],
    ['all', '"all" is not an option.'],
  ])('refuses %j', (words, sentence) => {
    const line = readImagesCommandLine(words.split(' '));
    expect(line).toMatchObject({ kind: 'refused' });
    expect(line.kind === 'refused' ? line.errors.join(' ') : '').toContain(sentence.replace('?.', ''));
  });

  it('shows its help', () => {
    expect(readImagesCommandLine(['--help'])).toMatchObject({
      kind: 'help',
      text: expect.stringContaining('--mirror-to'),
    });
  });
});
