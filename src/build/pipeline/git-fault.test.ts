import { describe, expect, it } from 'vitest';

import { classifyGitFault, gitSentences } from './git-fault.ts';

/** Lines as git 2.39 with GnuTLS and OpenSSH 9.2, and well-known servers, print them. */
const CASES: readonly (readonly [string, 'user' | 'infrastructure', string])[] = [
  [
    'authentication',
    'user',
    "remote: Invalid credentials\nfatal: Authentication failed for 'http://127.0.0.1:1/a.git/'",
  ],
  ['authentication', 'user', "fatal: could not read Username for 'https://h': terminal prompts disabled"],
  [
    'authentication',
    'user',
    "error: unable to read askpass response from '/bin/false'\nfatal: could not read Username for 'https://h': No such device or address",
  ],
  ['authentication', 'user', "fatal: unable to access 'https://h/a.git/': The requested URL returned error: 403"],
  ['authentication', 'user', 'git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.'],
  [
    'authentication',
    'user',
    'Load key "/w/private/git-ssh-key": error in libcrypto\ngit@h: Permission denied (publickey).',
  ],
  ['authentication', 'user', 'remote: HTTP Basic: Access denied\nfatal: Authentication failed for ...'],
  [
    'host-key',
    'user',
    'No ED25519 host key is known for [127.0.0.1]:2 and you have requested strict checking.\nHost key verification failed.\nfatal: Could not read from remote repository.',
  ],
  ['host-key', 'user', '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.'],
  [
    'certificate',
    'user',
    "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none CRLfile: none",
  ],
  [
    'certificate',
    'user',
    "fatal: unable to access 'https://h/': SSL certificate problem: unable to get local issuer certificate",
  ],
  [
    'certificate',
    'user',
    "fatal: unable to access 'https://h/': SSL: certificate subject name (a) does not match target host name 'h'",
  ],
  ['not-found', 'user', "remote: Repository not found.\nfatal: repository 'https://h/a/' not found"],
  ['not-found', 'user', "fatal: repository 'http://127.0.0.1:1/a.git/' not found"],
  [
    'not-found',
    'user',
    "fatal: '/a.git' does not appear to be a git repository\nfatal: Could not read from remote repository.",
  ],
  ['not-found', 'user', 'ERROR: Repository not found.\nfatal: Could not read from remote repository.'],
  ['no-ref', 'user', "fatal: couldn't find remote ref refs/heads/x"],
  ['refused-commit', 'user', 'error: Server does not allow request for unadvertised object 0123'],
  ['refused-commit', 'user', 'fatal: remote error: upload-pack: not our ref 0123'],
  ['no-shallow', 'user', 'fatal: dumb http transport does not support shallow capabilities'],
  ['protocol', 'user', "fatal: transport 'file' not allowed"],
  ['disk', 'infrastructure', 'fatal: write error: No space left on device'],
  ['unreachable', 'infrastructure', "fatal: unable to access 'http://h/': The requested URL returned error: 500"],
  ['unreachable', 'infrastructure', "fatal: unable to access 'http://h/': The requested URL returned error: 503"],
  ['unreachable', 'infrastructure', "fatal: unable to access 'http://h/': The requested URL returned error: 429"],
  ['unreachable', 'infrastructure', "fatal: unable to access 'http://h/': Could not resolve host: h"],
  [
    'unreachable',
    'infrastructure',
    "fatal: unable to access 'http://h/': Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server",
  ],
  [
    'unreachable',
    'infrastructure',
    "fatal: unable to access 'http://h/': Operation too slow. Less than 1000 bytes/sec transferred the last 60 seconds",
  ],
  [
    'unreachable',
    'infrastructure',
    'ssh: connect to host 127.0.0.1 port 1: Connection refused\nfatal: Could not read from remote repository.',
  ],
  [
    'unreachable',
    'infrastructure',
    'ssh: Could not resolve hostname h: Name or service not known\nfatal: Could not read from remote repository.',
  ],
  [
    'unreachable',
    'infrastructure',
    'kex_exchange_identification: read: Connection reset by peer\nfatal: Could not read from remote repository.',
  ],
  [
    'unreachable',
    'infrastructure',
    'error: RPC failed; curl 18 transfer closed\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output',
  ],
  [
    'unreachable',
    'infrastructure',
    'fatal: unable to connect to 127.0.0.1:\n127.0.0.1[0: 127.0.0.1]: errno=Connection refused',
  ],
  ['unreachable', 'infrastructure', 'fatal: the remote end hung up unexpectedly'],
  ['unknown', 'user', "fatal: unable to access 'http://h/': The requested URL returned error: 400"],
  ['unknown', 'infrastructure', 'fatal: something that nobody has seen'],
  ['unknown', 'infrastructure', ''],
];

describe('a git that failed', () => {
  it.each(CASES)('by %s is the failure of %s: %s', (kind, blame, text) => {
    const fault = classifyGitFault(text.split('\n'));
    expect([fault.kind, fault.blame]).toEqual([kind, blame]);
    expect(gitSentences().map(({ fact, cure }) => `${fact} ${cure}`)).toContain(fault.sentence);
  });

  it.each(gitSentences())('has a fact and a cure, each a sentence: $fact', ({ fact, cure }) => {
    for (const sentence of [fact, cure]) expect(sentence).toMatch(/^[A-Zg].*\.$/);
  });
});
