import { isRecord } from '../../kernel/json-record.ts';
import { BuildFailure } from './failure.ts';
import { LABELS } from './labels.ts';
import type { RegistryFiles } from './registries.ts';
import { registryProblem } from './registry-errors.ts';
import { type RegistryAccess, sectionOf } from './request.ts';
import type { Found, Missing } from './state.ts';
import type { StepContext } from './step.ts';
import { imageNames, ownReference, registryOf } from './tags.ts';
import { runTool, ToolError } from './tool.ts';

/** What a registry says of an image that it has. */
export interface Looked {
  readonly digest: string;
  readonly labels: Readonly<Record<string, unknown>>;
}

export interface Key {
  readonly buildKey: string;
  /** Of the Git source. */
  readonly commit?: string;
}

/** Skopeo tries again by itself where it is told to wait (429), up to a minute; beyond this a registry is one that does not answer. */
const LOOK_TIMEOUT = '90s';

/**
 * Whether there is something to build: looks the image up under the user's reference, where only one kernel has it, then under this build's
 * own.
 *
 * @param keyOf called only when it is needed: the image of a vendor needs no source
 * @throws BuildFailure
 */
export async function check(
  context: StepContext,
  registries: RegistryFiles,
  keyOf: () => Promise<Key>,
): Promise<Found | Missing> {
  const { request, say } = context;
  const names = imageNames(request.image);
  if (names === undefined) {
    throw new BuildFailure(
      'check',
      'user',
      `${request.image} is a digest, and an image that is yet to be made has none: write a tag in containerImage.`,
    );
  }
  const users = request.shared ? undefined : await look(context, registries, names.users);
  if (users !== undefined && keyLabel(users) === undefined) {
    say(`${names.users} is there without a build key: somebody else made it, so it is taken as it is`);
    return { kind: 'found', result: 'vendor', reference: names.users, digest: users.digest };
  }
  const key = await keyOf();
  if (users !== undefined && keyLabel(users) === key.buildKey) {
    return { kind: 'found', result: 'present', reference: names.users, digest: users.digest, ...key };
  }
  const own = ownReference(request.image, request, key.buildKey);
  const before = await look(context, registries, own);
  if (before !== undefined && keyLabel(before) === key.buildKey) {
    const missing = request.shared ? {} : { missing: names.users };
    return { kind: 'found', result: 'present', reference: own, digest: before.digest, ...key, ...missing };
  }
  say(
    users === undefined
      ? `${request.image} is not there for this kernel: it is built`
      : `${names.users} is of another build: it is built anew`,
  );
  return { kind: 'missing', ...key };
}

function keyLabel({ labels }: Looked): string | undefined {
  const value = labels[LABELS.buildKey];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Undefined where the registry does not have it. */
async function look(context: StepContext, registries: RegistryFiles, reference: string): Promise<Looked | undefined> {
  const { request, env, signal, redact, say } = context;
  const args = [
    `--command-timeout=${LOOK_TIMEOUT}`,
    `--override-arch=${request.arch}`,
    '--override-os=linux',
    'inspect',
    '--no-tags',
    `--authfile=${registries.pushAuth}`,
    ...tlsVerify(request.push),
    `docker://${reference}`,
  ];
  try {
    return readLooked(await runTool('skopeo', args, { env, signal, stdout: 'answer' }, redact));
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const place = {
      use: 'check',
      reference,
      registry: registryOf(reference),
      hasCredentials: registries.hasPushAuth,
      section: sectionOf(request),
      isCluster: registries.isCluster,
    } as const;
    const problem = registryProblem(error.lines, place);
    if (problem?.kind === 'not-there') return undefined;
    if (problem?.kind === 'denied' || problem?.kind === 'not-authorized') {
      // Many registries do not tell a repository that is yet to be made from one that is another's: pushing shows which.
      say(`the registry does not say whether ${reference} is there (${problem.kind}); it is taken as missing`);
      return undefined;
    }
    const log = error.lines.join('\n');
    if (problem !== undefined) throw new BuildFailure('check', problem.blame, problem.sentence, { log, cause: error });
    if (/no image found in .*for architecture/i.test(log)) {
      const message = `${reference} is there, but not for the architecture ${request.arch}: name another tag in containerImage, so that nothing is overwritten.`;
      throw new BuildFailure('check', 'user', message, { log, cause: error });
    }
    const message = `${reference} cannot be looked up: ${error.lines.at(-1) ?? error.message}. The build is tried again.`;
    throw new BuildFailure('check', 'infrastructure', message, { log, cause: error });
  }
}

/** skopeo-inspect(1) prints an object with these fields. */
function readLooked(json: string): Looked {
  const value: unknown = JSON.parse(json);
  if (!isRecord(value) || typeof value.Digest !== 'string') throw new Error('skopeo inspect printed no digest');
  return { digest: value.Digest, labels: isRecord(value.Labels) ? value.Labels : {} };
}

/** The container tools have one switch for plain HTTP and for a certificate that nobody checks. */
export function tlsVerify({ insecure, insecureSkipTLSVerify }: RegistryAccess, option = '--tls-verify'): string[] {
  return insecure || insecureSkipTLSVerify ? [`${option}=false`] : [];
}
