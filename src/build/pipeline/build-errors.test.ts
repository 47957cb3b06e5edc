import { expect, test } from 'vitest';
import { buildProblem, logOfFailure } from './build-errors.ts';
import type { FailureCause } from './failure.ts';

const PLACE = { registry: 'r.example', hasCredentials: () => false, isMasked: true };
const RUN = 'Error: building at STEP "RUN make": exit status 2';

test.each<[string, string[], FailureCause, RegExp]>([
  [
    'a compile that fails',
    ['kmod.c:1: error', RUN],
    'user',
    /The step "RUN make" of the Dockerfile fails with exit status 2; its last lines are below/,
  ],
  [
    'a command with quotes and colons of its own',
    ['Error: building at STEP "RUN echo "license: abc" && exit 3": while running runtime: exit status 3'],
    'user',
    /The step "RUN echo "license: abc" && exit 3" of the Dockerfile fails with exit status 3;/,
  ],
  [
    'a file that is missing',
    [
      'Error: building at STEP "COPY a /b": checking on sources under "/x": copier: stat: "/a": no such file or directory',
    ],
    'user',
    /The step "COPY a \/b".*no such file/,
  ],
  [
    'an instruction that is none',
    [
      'Error: building at STEP "BOGUS ": Build error: Unknown instruction: "BOGUS" &imagebuilder.Step{Env:[]string{"PATH=/x: y"}}',
    ],
    'user',
    /^The step "BOGUS" of the Dockerfile fails: Build error: Unknown instruction: "BOGUS"\. /,
  ],
  ['no FROM', ['Error: no FROM statement found'], 'user', /no FROM statement found/],
  [
    'a secret that is not given',
    [
      'Error: building at STEP "RUN --mount=type=secret,id=z,required=true x": resolving mountpoints for container "c": secret required but no secret with id z found',
    ],
    'user',
    /secret required but no secret with id z found|fails/,
  ],
  [
    'a base image that is not there',
    [
      'Error: creating build container: initializing source docker://r.example/base:1: reading manifest 1 in r.example/base: manifest unknown: manifest unknown',
    ],
    'user',
    /^r\.example\/base:1, which the Dockerfile begins FROM, is not there/,
  ],
  [
    'a base image that Quay hides, as it does one that is not there',
    [
      'Error: creating build container: initializing source docker://r.example/base:1: reading manifest 1 in r.example/base: unauthorized: access to the requested resource is not authorized',
    ],
    'user',
    /^r\.example\/base:1, which the Dockerfile begins FROM, is not there, or these credentials may not see it/,
  ],
  [
    'a base image without credentials',
    [
      'Error: creating build container: initializing source docker://r.example/base:1: reading manifest 1 in r.example/base: unauthorized: authentication required',
    ],
    'user',
    /asks for credentials for r\.example\/base:1.*build\.pull\.secret/,
  ],
  [
    'a base image whose registry is away',
    [
      'Error: creating build container: initializing source docker://o.example/base:1: pinging container registry o.example: Get "https://o.example/v2/": dial tcp 10.0.0.1:443: connect: connection refused',
    ],
    'infrastructure',
    /o\.example cannot be reached/,
  ],
  [
    'a base image whose tag has the number of a status',
    [
      'Error: creating build container: initializing source docker://r.example/base:5.14.0-404.el9: reading manifest 5.14.0-404.el9 in r.example/base: received unexpected HTTP status: 503 Service Unavailable',
    ],
    'infrastructure',
    /^The Dockerfile begins FROM r\.example\/base:5\.14\.0-404\.el9\. The registry r\.example failed by itself/,
  ],
  [
    'a package of a kernel whose number is a status',
    ['Error: no package kernel-devel-5.14.0-503 Available', RUN],
    'user',
    /fails with exit status 2/,
  ],
  [
    'a package server that is away',
    [
      'Err:1 http://deb.debian.org bookworm',
      "  Temporary failure resolving 'deb.debian.org'",
      'E: Unable to locate package',
      RUN,
    ],
    'infrastructure',
    /could not reach what it fetches \(Temporary failure resolving/,
  ],
  [
    'a file of the web that cannot be had',
    [
      'Error: building at STEP "ADD http://o.example/x /x": reading "http://o.example/x": Get "http://o.example/x": dial tcp 10.0.0.1:80: connect: connection refused',
    ],
    'infrastructure',
    /could not reach/,
  ],
  [
    'a full disk',
    ['gcc: fatal error: error writing to /tmp/x.s: No space left on device', RUN],
    'infrastructure',
    /own disk is full/,
  ],
  [
    'a command that was killed',
    ['Killed', 'Error: building at STEP "RUN make": exit status 137'],
    'user',
    /more memory than it may have \(build\.resources\)/,
  ],
  [
    'buildah that cannot begin',
    ['time="x" level=error msg="failed to setup"'],
    'infrastructure',
    /buildah cannot work here/,
  ],
])('%s', (_, lines, blame, sentence) => {
  const problem = buildProblem(lines, PLACE);
  expect(problem.sentence).toMatch(sentence);
  expect(problem.blame).toBe(blame);
});

test.each<[string, string[], FailureCause, string]>([
  [
    'fails',
    ['login with hunter22', RUN],
    'user',
    'The step "RUN make" of the Dockerfile fails with exit status 2. Correct it; it is not tried again before something changes.',
  ],
  [
    'reaches nothing',
    ['curl: (6) Could not resolve host: hunter22.example', RUN],
    'infrastructure',
    'The step "RUN make" of the Dockerfile could not reach what it fetches. The build is tried again.',
  ],
])('of a log that may hold secrets, nothing is told that a command printed which %s', (_, lines, blame, sentence) => {
  expect(buildProblem(lines, { ...PLACE, isMasked: false })).toEqual({ blame, sentence });
});

test('a step as long as a script is shown by its beginning', () => {
  const { sentence } = buildProblem([`Error: building at STEP "RUN ${'x'.repeat(5_000)}": exit status 1`], PLACE);
  expect(sentence.length).toBeLessThan(300);
});

test('what a failed command printed is shown without what buildah adds to it', () => {
  const lines = ['kmod.c:1: error', 'subprocess exited with status 2', 'subprocess exited with status 2', RUN];
  expect(logOfFailure(lines)).toBe('kmod.c:1: error');
});
