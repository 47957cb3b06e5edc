import { shorten } from '../../kernel/shorten.ts';
import type { FailureCause } from './failure.ts';
import { type RegistryPlace, type RegistryProblemKind, registryProblem } from './registry-errors.ts';

export interface BuildProblem {
  readonly blame: FailureCause;
  readonly sentence: string;
}

/** Where a build was, and what may be told of its log. */
export interface BuildPlace extends Omit<RegistryPlace, 'use' | 'reference'> {
  /** Whether Secrets' values were taken out of the lines: else what a command of the Dockerfile printed is not quoted. */
  readonly isMasked: boolean;
}

/** What commands in a RUN say when it is the network that failed them: apt, dnf, curl, git, go. */
const NETWORK_IN_RUN = [
  /temporary failure (?:in name resolution|resolving)/i,
  /could ?n[o']t resolve (?:host|proxy)/i,
  /could not resolve/i,
  /failed to connect to/i,
  /connection (?:timed out|refused|reset by peer)/i,
  /no route to host|network is unreachable/i,
  /\bi\/o timeout\b|TLS handshake timeout/i,
  /(?<![\w.-])(?:429 Too Many Requests|50[0234] [A-Z])/,
];

/** A step may have quotes and colons of its own: where a command failed, what comes behind the step is known. */
const COMMAND_FAILED = /^building at STEP "(.*)": (?:while running runtime: )?exit status \d+$/s;
const STEP_FAILED = /^building at STEP "(.*?)"?: /s;

/** What buildah adds to the output of a command that failed: the sentence says it already. */
const ADDED_BY_BUILDAH = /^(?:subprocess exited with status \d+|Error: building at STEP .*)$/s;

/** The last lines of a build that failed, as its user has use for them. */
export function logOfFailure(lines: readonly string[]): string {
  return lines.filter((line) => !ADDED_BY_BUILDAH.test(line)).join('\n');
}

/**
 * Whose fault it is that `buildah build` failed, and what is to be done.
 *
 * @param lines its last ones
 */
export function buildProblem(lines: readonly string[], place: BuildPlace): BuildProblem {
  const last = lines.findLast((line) => line.startsWith('Error: '))?.slice('Error: '.length) ?? lines.at(-1) ?? '';
  const step = (COMMAND_FAILED.exec(last) ?? STEP_FAILED.exec(last))?.[1]?.trim();
  const tail = lines.join('\n');
  if (/no space left on device/i.test(tail)) return diskFull();
  if (step !== undefined && /^RUN\b/i.test(step)) return runProblem(step, last, tail, place.isMasked);
  if (step !== undefined && /\bdial tcp\b|i\/o timeout|TLS handshake|: EOF$|connection reset/i.test(last)) {
    return infrastructure(`The step ${shown(step)} of the Dockerfile could not reach what it fetches (${endOf(last)})`);
  }
  const isPull =
    /creating build container|initializing source|copying system image|pinging container registry|reading (?:manifest|blob)|Trying to pull/i.test(
      last,
    );
  if (isPull) return pullProblem(last, place);
  if (step !== undefined) return user(`The step ${shown(step)} of the Dockerfile fails: ${endOf(last)}`);
  // What stands in front of it is a log's time: buildah had no look at the Dockerfile yet.
  if (last.startsWith('time=')) return infrastructure(`buildah cannot work here (${last.trim()})`);
  return user(`The Dockerfile cannot be built: ${last.trim() || 'buildah said nothing'}`);
}

function runProblem(step: string, last: string, tail: string, isMasked: boolean): BuildProblem {
  const code = /exit status (\d+)/.exec(last)?.[1];
  if (code === '137' || /signal: killed/i.test(tail)) {
    return user(
      `The step ${shown(step)} of the Dockerfile was killed, most likely because it wanted more memory than it may have (build.resources)`,
    );
  }
  const network = tail.split('\n').findLast((line) => NETWORK_IN_RUN.some((sign) => sign.test(line)));
  if (network !== undefined) {
    const words = isMasked ? ` (${network.trim().slice(0, 200)})` : '';
    return infrastructure(`The step ${shown(step)} of the Dockerfile could not reach what it fetches${words}`);
  }
  const status = code === undefined ? '' : ` with exit status ${code}`;
  const rest = isMasked ? '; its last lines are below' : '';
  return user(`The step ${shown(step)} of the Dockerfile fails${status}${rest}`);
}

/** How registries put it that an image is not there, or not for these credentials: many tell nobody which. */
const HIDDEN: ReadonlySet<RegistryProblemKind> = new Set(['not-there', 'denied', 'not-authorized']);

function pullProblem(last: string, place: BuildPlace): BuildProblem {
  const reference =
    /docker:\/\/([^\s:]+(?::\d+\/[^\s:]+)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?)/.exec(last)?.[1] ??
    'the image of a FROM line';
  const problem = registryProblem([last], { ...place, use: 'pull', reference });
  if (problem === undefined)
    return infrastructure(`${reference}, which the Dockerfile begins FROM, cannot be pulled (${endOf(last)})`);
  if (HIDDEN.has(problem.kind)) {
    return user(
      `${reference}, which the Dockerfile begins FROM, is not there, or these credentials may not see it (${endOf(last)}): correct the FROM line, or set spec.imageRepoSecret or build.pull.secret`,
    );
  }
  return { blame: problem.blame, sentence: `The Dockerfile begins FROM ${reference}. ${problem.sentence}` };
}

function diskFull(): BuildProblem {
  return infrastructure("The build's own disk is full; ask for more in build.resources.requests (ephemeral-storage)");
}

function user(fact: string): BuildProblem {
  return { blame: 'user', sentence: `${fact}. Correct it; it is not tried again before something changes.` };
}

function infrastructure(fact: string): BuildProblem {
  return { blame: 'infrastructure', sentence: `${fact}. The build is tried again.` };
}

/** What stands behind the last colon that ends a clause: the cause of the causes. */
function endOf(message: string): string {
  const text = message
    .replace(/&imagebuilder\.Step\{.*$/s, '')
    .replace(/^building at STEP ".*?": /s, '')
    .trim();
  return text
    .split(/: (?=[^"]*$)/)
    .slice(-2)
    .join(': ')
    .slice(0, 300);
}

function shown(step: string): string {
  const line = step.replaceAll(/\s+/g, ' ');
  return `"${shorten(line, 120)}"`;
}
