import { describe, expect, it } from 'vitest';

import { type GitCredentials, type GitInput, GitInputError, gitSetup, parseGitUrl } from './git-config.ts';

function aSetup(url: string, credentials?: GitCredentials, more: Partial<GitInput> = {}) {
  const input = { url, directory: "/work/it's %d", env: { PATH: '/bin' }, ...more };
  const setup = gitSetup(credentials === undefined ? input : { ...input, credentials });
  const file = (name: string) => setup.files.find(({ path }) => path.endsWith(`/${name}`))?.content;
  return { setup, file };
}

describe('the URL of a Git source', () => {
  it.each([
    ['https://git.example/a.git', 'https', 'git.example', undefined],
    ['HTTP://git.example:8080/a.git', 'http', 'git.example:8080', undefined],
    ['ssh://git@git.example:2222/a.git', 'ssh', 'git.example:2222', 'git'],
    ['git://git.example/a.git', 'git', 'git.example', undefined],
    ['git@git.example:team/a.git', 'ssh', 'git.example', 'git'],
    ['https://a%40b@git.example/a.git', 'https', 'git.example', 'a@b'],
    ['https://[::1]:8080/a.git', 'https', '[::1]:8080', undefined],
  ])('%s is read', (url, transport, host, user) => {
    const parsed = parseGitUrl(url);
    expect([parsed.transport, parsed.host, parsed.user]).toEqual([transport, host, user]);
  });

  it.each([
    ['file:///etc', 'Only https, http, ssh and git are read'],
    ['ext::sh -c id', 'a space'],
    ['ext::id', 'no URL that begins with'],
    ['/etc', 'no URL that begins with'],
    ['--upload-pack=id', 'no URL that begins with'],
    ['-a@b:c', 'no URL that begins with'],
    ['ssh://-oProxyCommand=id/a', 'names no server'],
    ['ssh://git@-oProxyCommand=id/a', 'names no server'],
    ['https:///a.git', 'names no server'],
    ['https://git.example/a.git\nhelper=x', 'control character'],
  ])('%j is refused', (url, sentence) => {
    expect(() => parseGitUrl(url)).toThrow(GitInputError);
    expect(() => parseGitUrl(url)).toThrow(sentence);
  });

  it('with a password in it is refused with the field where it belongs, and without the password', () => {
    for (const url of [
      'https://alice:hunter2@git.example/a',
      'https://:hunter2@git.example/a',
      'ssh://a:hunter2@h/a',
    ]) {
      const attempt = () => parseGitUrl(url);
      expect(attempt).toThrow('git.secret');
      expect(attempt).not.toThrow('hunter2');
    }
  });
});

describe('the environment of git', () => {
  it('has no configuration but ours, no prompt, and four protocols', () => {
    const { env } = aSetup('https://git.example/a').setup;
    expect(env).toMatchObject({
      PATH: '/bin',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: "/work/it's %d/gitconfig",
      GIT_TERMINAL_PROMPT: '0',
      GIT_ALLOW_PROTOCOL: 'https:http:ssh:git',
      GIT_SSH_COMMAND: `ssh -F '/work/it'\\''s %d/ssh-config'`,
    });
  });

  it('has no secret in it', () => {
    const credentials = { username: 'alice', password: 'hunter2', sshPrivateKey: 'KEY', knownHosts: 'HOSTS' };
    const { setup } = aSetup('https://git.example/a', credentials);
    expect(JSON.stringify([setup.env, setup.url])).not.toMatch(/hunter2|KEY|HOSTS/);
  });
});

describe('credentials', () => {
  it.each<readonly [string, GitCredentials, string]>([
    [
      'https://git.example/a',
      { username: 'alice', password: 'p@:/ ä\n' },
      'https://alice:p%40%3A%2F%20%C3%A4@git.example\n',
    ],
    ['https://git.example/a', { token: 'tok' }, 'https://git:tok@git.example\n'],
    ['https://git.example/a', { token: 'tok', username: 'x-token' }, 'https://x-token:tok@git.example\n'],
    ['https://bob@git.example:8443/a', { password: 'p' }, 'https://bob:p@git.example:8443\n'],
    ['http://bob@git.example/a', { username: 'alice', password: 'p' }, 'http://alice:p@git.example\n'],
  ])('of %s are offered to its own host', (url, credentials, line) => {
    const { file, setup } = aSetup(url, credentials);
    expect(file('git-credentials')).toBe(line);
    expect(file('gitconfig')).toContain(`helper = "store --file='/work/it'\\\\''s %d/git-credentials'"`);
    expect(setup.url).not.toContain('@');
  });

  it.each<readonly [string, GitCredentials | undefined, string]>([
    ['https://git.example/a', { username: 'alice' }, 'a username and neither a password nor a token'],
    ['https://git.example/a', { password: 'p' }, 'a password and no username'],
    ['ssh://git@git.example/a', { token: 'tok' }, 'needs the keys ssh-privatekey and known_hosts'],
    ['ssh://git@git.example/a', undefined, 'needs the keys ssh-privatekey and known_hosts'],
    ['ssh://git@git.example/a', { sshPrivateKey: 'KEY' }, 'ssh-privatekey and no known_hosts'],
    ['ssh://git@git.example/a', { sshPrivateKey: 'KEY', knownHosts: '\n' }, 'ssh-privatekey and no known_hosts'],
  ])('that %s cannot be read with are refused', (url, credentials, sentence) => {
    expect(() => aSetup(url, credentials)).toThrow(sentence);
  });

  it('of ssh are files whose last line ends, and hosts that are not known are refused', () => {
    const { file } = aSetup('git@git.example:a', { sshPrivateKey: 'A\r\nB', knownHosts: 'HOSTS' });
    expect(file('git-ssh-key')).toBe('A\nB\n');
    expect(file('git-known-hosts')).toBe('HOSTS\n');
    expect(file('ssh-config')).toContain('StrictHostKeyChecking yes\n');
    expect(file('ssh-config')).toContain(`IdentityFile "/work/it's %%d/git-ssh-key"\n`);
  });

  it('that are not there leave ssh, which a submodule may ask for, without any key', () => {
    expect(aSetup('https://git.example/a').file('ssh-config')).toContain('IdentityFile none\n');
  });
});

it('authorities of the Git server are a file that the configuration names', () => {
  const { file } = aSetup('https://git.example/a', undefined, { authorities: 'PEM' });
  expect(file('git-ca.pem')).toBe('PEM');
  expect(file('gitconfig')).toContain(`sslCAInfo = "/work/it's %d/git-ca.pem"`);
});
