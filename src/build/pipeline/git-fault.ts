import type { FailureCause } from './failure.ts';

export interface GitFault {
  readonly kind:
    | 'authentication'
    | 'host-key'
    | 'certificate'
    | 'not-found'
    | 'no-ref'
    | 'refused-commit'
    | 'no-shallow'
    | 'protocol'
    | 'disk'
    | 'unreachable'
    | 'unknown';
  readonly blame: FailureCause;
  /** What goes on, as `The Git server ...`, and what to do. */
  readonly sentence: string;
}

interface Row extends Pick<GitFault, 'kind' | 'blame'> {
  /** A whole sentence, and another. */
  readonly fact: string;
  readonly cure: string;
}

interface Rule extends Row {
  readonly pattern: RegExp;
}

/**
 * In order: the first that matches counts. git, curl, GnuTLS, OpenSSL and ssh print these with LC_ALL=C; the wordings were seen with git 2.39 and
 * OpenSSH 9.2, or stand in their sources. Servers' own lines begin with `remote:`.
 */
const RULES: readonly Rule[] = [
  {
    pattern: /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|No \S+ host key is known/i,
    kind: 'host-key',
    blame: 'user',
    fact: 'The Git server’s host key is not in known_hosts of the Secret that git.secret names, or is another one there.',
    cure: 'Compare `ssh-keyscan HOST` with what the server’s owner says, and correct known_hosts, then change spec.imageRebuildTriggerGeneration to try again.',
  },
  {
    pattern: /Load key ".*": (?!Permission denied)|invalid format|error in libcrypto/i,
    kind: 'authentication',
    blame: 'user',
    fact: 'The ssh-privatekey of the Secret that git.secret names cannot be read.',
    cure: 'Put a private key without a passphrase there, then change spec.imageRebuildTriggerGeneration to try again.',
  },
  {
    pattern: /Permission denied \(|Permission denied, please try again|Too many authentication failures/i,
    kind: 'authentication',
    blame: 'user',
    fact: 'The Git server does not accept the ssh-privatekey of the Secret that git.secret names.',
    cure: 'Add its public half to the server, or correct the Secret, then change spec.imageRebuildTriggerGeneration to try again.',
  },
  {
    pattern: /could not read (?:Username|Password)|terminal prompts disabled/i,
    kind: 'authentication',
    blame: 'user',
    fact: 'The Git server wants credentials (or has no such repository, which servers do not tell apart).',
    cure: 'Name a Secret with username and password, or token, in git.secret.',
  },
  {
    pattern: /Authentication failed|Invalid username or|HTTP Basic: Access denied|returned error: 401/i,
    kind: 'authentication',
    blame: 'user',
    fact: 'The Git server does not accept the username and password, or the token, of the Secret that git.secret names.',
    cure: 'Correct the Secret, then change spec.imageRebuildTriggerGeneration to try again.',
  },
  {
    pattern: /returned error: 403|access denied or repository not exported/i,
    kind: 'authentication',
    blame: 'user',
    fact: 'The Git server forbids reading this repository with these credentials.',
    cure: 'Give the account of git.secret the right to read it, then change spec.imageRebuildTriggerGeneration to try again.',
  },
  {
    pattern:
      /certificate verification failed|SSL certificate problem|certificate subject name|no alternative certificate/i,
    kind: 'certificate',
    blame: 'user',
    fact: 'The Git server’s certificate is not signed by an authority that is trusted here, or is not for this host name.',
    cure: 'Name a ConfigMap with its authority in git.caConfigMap.',
  },
  {
    pattern:
      /transport '[^']*' not allowed|(?:remote )?protocol '[^']*' is not supported|remote helper '[^']*'|is not a git command/i,
    kind: 'protocol',
    blame: 'user',
    fact: 'The source, or a submodule of it, is at a URL of another kind than https, http, ssh and git, which is not read.',
    cure: 'Give it a URL of one of these kinds.',
  },
  {
    pattern: /not our ref|unadvertised object|no such remote ref [0-9a-f]{40}/i,
    kind: 'refused-commit',
    blame: 'user',
    fact: 'The Git server has no such commit, or does not hand it out.',
    cure: 'Name a branch or a tag that has it in git.ref.',
  },
  {
    pattern: /does not support shallow|shallow (?:capabilities|clones)|expected shallow\/unshallow/i,
    kind: 'no-shallow',
    blame: 'user',
    fact: 'The Git server cannot hand out a part of its history.',
    cure: 'Serve the repository by Git’s own protocols: a folder of files behind a web server is not enough.',
  },
  {
    pattern: /No space left on device|Disk quota exceeded|unable to write (?:file|loose object)/i,
    kind: 'disk',
    blame: 'infrastructure',
    fact: 'The disk of the build is full.',
    cure: 'It is tried again; give the build more ephemeral-storage in build.resources.requests.',
  },
  {
    pattern:
      /returned error: (?:408|425|429|5\d\d)|Could not resolve|Couldn't resolve|Temporary failure in name resolution|Couldn't connect|Failed to connect|unable to connect|Connection (?:refused|timed out|reset|closed)|No route to host|Network is unreachable|Operation (?:timed out|too slow)|timed? ?out|early EOF|RPC failed|unexpected disconnect|TLS connection|handshake|Empty reply from server|kex_exchange_identification|banner exchange/i,
    kind: 'unreachable',
    blame: 'infrastructure',
    fact: 'The Git server cannot be reached, or broke off.',
    cure: 'It is tried again; if it stays so, see whether pods of this cluster reach it.',
  },
  {
    pattern:
      /repository '.*' not found|Repository not found|does not appear to be a git repository|returned error: (?:404|410)|not a git repository|no such repository|project you were looking for could not be found/i,
    kind: 'not-found',
    blame: 'user',
    fact: 'The Git server has no such repository, or hides it from these credentials.',
    cure: 'Correct git.url or git.secret.',
  },
  {
    pattern: /couldn't find remote ref|Remote branch .* not found/i,
    kind: 'no-ref',
    blame: 'user',
    fact: 'The Git server no longer has the ref.',
    cure: 'Correct git.ref.',
  },
  {
    pattern: /hung up unexpectedly|Could not read from remote repository/i,
    kind: 'unreachable',
    blame: 'infrastructure',
    fact: 'The Git server broke off.',
    cure: 'It is tried again.',
  },
  {
    pattern: /returned error: 4\d\d/i,
    kind: 'unknown',
    blame: 'user',
    fact: 'The Git server refuses the request.',
    cure: 'Look at git.url, and into the server’s own log.',
  },
];

const SILENT: Row = {
  kind: 'unreachable',
  blame: 'infrastructure',
  fact: 'The Git server takes too long to answer.',
  cure: 'It is tried again; if it stays so, see whether pods of this cluster reach it.',
};

const UNKNOWN: Row = {
  kind: 'unknown',
  blame: 'infrastructure',
  fact: 'git failed in a way that is not known here.',
  cure: 'It is tried again; its last lines say more.',
};

/** Of a git that had to be ended because nothing came any more. */
export const SILENT_SERVER: GitFault = faultOf(SILENT);

/** What became of a git that failed, by the last lines it printed. An unknown failure is tried again, as often as any other. */
export function classifyGitFault(lines: readonly string[]): GitFault {
  const text = lines.join('\n');
  return faultOf(RULES.find(({ pattern }) => pattern.test(text)) ?? UNKNOWN);
}

function faultOf({ kind, blame, fact, cure }: Row): GitFault {
  return { kind, blame, sentence: `${fact} ${cure}` };
}

/** Every sentence with its cure: the table in the documentation. */
export function gitSentences(): readonly Row[] {
  return [...RULES, SILENT, UNKNOWN].map(({ kind, blame, fact, cure }) => ({ kind, blame, fact, cure }));
}
