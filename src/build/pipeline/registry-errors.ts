import { splitImageReference } from '../../kernel/image-reference.ts';
import type { FailureCause } from './failure.ts';

/** What is done with the registry. */
export type RegistryUse = 'check' | 'pull' | 'push';

/** What stands in a sentence and its cure in the place of `{registry}`, `{object}` and the like. */
export interface RegistryPlace {
  readonly use: RegistryUse;
  /** The image it is about. */
  readonly reference: string;
  /** Where the tool's words name none. */
  readonly registry: string;
  /** Whether credentials were sent: wrong ones and none at all look alike to a registry. */
  readonly hasCredentials: (registry: string) => boolean;
  /** The field of the mapping that has pull and push: `build` unless nothing is built. */
  readonly section?: 'build' | 'sign';
  /** Whether it is the cluster's own registry, whose troubles have cures of their own. */
  readonly isCluster?: (registry: string) => boolean;
}

export const REGISTRY_PROBLEM_KINDS = [
  'rate-limited',
  'refused',
  'name-unknown',
  'timeout',
  'plain-http',
  'authority-unknown',
  'certificate-expired',
  'certificate-name',
  'no-credentials',
  'wrong-credentials',
  'denied',
  'not-authorized',
  'not-there',
  'disk-full-here',
  'disk-full-there',
  'server-error',
  'cut',
] as const;
export type RegistryProblemKind = (typeof REGISTRY_PROBLEM_KINDS)[number];

interface Row {
  readonly kind: RegistryProblemKind;
  /** One of these stands in the tool's last lines. */
  readonly signs: readonly RegExp[];
  readonly blame: FailureCause;
  /** Without a full stop; {registry} and {image} are filled in. */
  readonly fact: string;
  /** The next step; {secret}, {insecure} and {skip} are the fields of the use at hand. */
  readonly cure: string;
}

/** As a word of its own: the numbers in `5.14.0-404.el9` and `v1.404` are parts of names. */
function status(code: string): RegExp {
  return new RegExp(String.raw`(?<![\w./-])${code}(?![\w/-]|\.\w)`);
}

const TRY_AGAIN = 'then change spec.imageRebuildTriggerGeneration to try again';

/**
 * Every way in which a registry fails us, the first that fits counts. The words are those of skopeo 1.9 and buildah 1.28, Go's net, tls and
 * x509, and of the registries' own errors (the OCI distribution specification, Error Codes).
 */
const ROWS: readonly Row[] = [
  {
    kind: 'rate-limited',
    signs: [/toomanyrequests/i, /too many requests/i, status('429')],
    blame: 'infrastructure',
    fact: 'The registry {registry} takes no more requests for now (429)',
    cure: 'The build is tried again by itself; credentials in {secret} often have a higher limit, and so has a mirror in --builder-registries-conf',
  },
  {
    kind: 'disk-full-here',
    signs: [
      /(?:write|mkdir|open|creating|copying|extracting|unpack\w*|fsync|close) [^:]*\/[^:]*: no space left on device/i,
    ],
    blame: 'infrastructure',
    fact: "The build's own disk is full, so nothing can be done with {registry}",
    cure: 'The build is tried again; give it a node with more room, or ask for it in build.resources.requests (ephemeral-storage)',
  },
  {
    kind: 'disk-full-there',
    signs: [/no space left on device/i, status('507'), /insufficient storage/i, /disk quota exceeded/i],
    blame: 'infrastructure',
    fact: 'The registry {registry} has no room left on its disk',
    cure: 'The build is tried again; make room in the registry, or give its volume more',
  },
  {
    kind: 'plain-http',
    signs: [/server gave HTTP response to HTTPS client/i],
    blame: 'user',
    fact: 'The registry {registry} speaks plain HTTP, and was asked in HTTPS',
    cure: 'Set {insecure}: true if that is meant, or give the registry a certificate',
  },
  {
    kind: 'certificate-expired',
    signs: [/x509: certificate has expired or is not yet valid/i],
    blame: 'infrastructure',
    fact: 'The certificate of the registry {registry} is out of date (x509)',
    cure: "The build is tried again; renew the registry's certificate, and look at the node's clock",
  },
  {
    kind: 'certificate-name',
    signs: [
      /x509: certificate is (?:valid for|not valid for any)/i,
      /x509: cannot validate certificate for/i,
      /x509: certificate relies on legacy Common Name/i,
    ],
    blame: 'user',
    fact: 'The certificate of the registry {registry} is for another name (x509)',
    cure: 'Write containerImage with a name that the certificate has, give the registry one with this name, or set {skip}: true',
  },
  {
    kind: 'authority-unknown',
    signs: [/x509: /i, /tls: failed to verify certificate/i],
    blame: 'user',
    fact: 'The certificate of the registry {registry} is signed by an authority that the builder does not know (x509)',
    cure: 'Put the authority as a *.crt into the ConfigMap that --builder-registries-conf names, or set {skip}: true',
  },
  {
    kind: 'name-unknown',
    signs: [/no such host/i, /temporary failure in name resolution/i, /server misbehaving/i],
    blame: 'infrastructure',
    fact: 'The registry {registry} cannot be reached: nobody knows its name (DNS)',
    cure: 'The build is tried again; see that the name in {image} is right and that the cluster can resolve it',
  },
  {
    kind: 'timeout',
    signs: [
      /i\/o timeout/i,
      /context deadline exceeded/i,
      /Client\.Timeout/i,
      /TLS handshake timeout/i,
      /connection timed out/i,
    ],
    blame: 'infrastructure',
    fact: 'The registry {registry} does not answer in time',
    cure: 'The build is tried again; see that the cluster may reach it (firewall, NetworkPolicy, HTTPS_PROXY), and that it is neither overloaded nor limiting requests',
  },
  {
    kind: 'refused',
    signs: [/connection refused/i, /no route to host/i, /network is unreachable/i, /host is unreachable/i],
    blame: 'infrastructure',
    fact: 'The registry {registry} cannot be reached: nothing listens there',
    cure: 'The build is tried again; see that the registry runs, and that host and port in {image} are right',
  },
  {
    kind: 'denied',
    // Before 401: Docker Hub says both at once of a repository that is not there or is another's.
    signs: [/(?<!permission )\bdenied\b/i, /\bforbidden\b/i, status('403')],
    blame: 'user',
    fact: 'The registry {registry} does not let these credentials {use} {image} (403)',
    cure: `Give them that right in the registry, or put others into the Secret that {secret} names, ${TRY_AGAIN}`,
  },
  {
    kind: 'not-authorized',
    // Quay's words of a repository that is another's, and of one that is not there.
    signs: [/access to the requested resource is not authorized/i],
    blame: 'user',
    fact: 'The registry {registry} does not let these credentials {use} {image}, or has no such repository (401)',
    cure: `Make the repository, give them that right in the registry, or put others into the Secret that {secret} names, ${TRY_AGAIN}`,
  },
  {
    kind: 'wrong-credentials',
    signs: [/unauthorized/i, /authentication required/i, /invalid username\/password/i, status('401')],
    blame: 'user',
    fact: 'The registry {registry} does not accept the credentials for {image} (401)',
    cure: `Correct the Secret that {secret} names, ${TRY_AGAIN}`,
  },
  {
    kind: 'no-credentials',
    // Never by its words: it is one of the two above where none were sent.
    signs: [],
    blame: 'user',
    fact: 'The registry {registry} asks for credentials for {image}, and there are none for it (401)',
    cure: `Name a Secret of type kubernetes.io/dockerconfigjson that has an entry for {registry} in {secret}, ${TRY_AGAIN}`,
  },
  {
    kind: 'not-there',
    signs: [/manifest unknown/i, /name unknown/i, /repository name not known/i, /\bnot found\b/i, status('404')],
    blame: 'user',
    fact: '{image} is not in the registry {registry} (404)',
    cure: `Correct the name or the tag, or push that image, ${TRY_AGAIN}`,
  },
  {
    kind: 'cut',
    signs: [
      /connection reset by peer/i,
      /broken pipe/i,
      /use of closed network connection/i,
      /unexpected EOF/i,
      /\bEOF\b/,
      /server closed idle connection/i,
      /http2: /i,
    ],
    blame: 'infrastructure',
    fact: 'The connection to the registry {registry} was cut while data was sent',
    cure: 'The build is tried again; if it happens each time, a proxy in between may limit how large or how long an upload is',
  },
  {
    kind: 'server-error',
    signs: [
      status(String.raw`50\d`),
      /internal server error/i,
      /bad gateway/i,
      /service unavailable/i,
      /gateway time-?out/i,
      /unknown: unknown error/i,
      /blob upload (?:invalid|unknown)/i,
      /received unexpected HTTP status/i,
    ],
    blame: 'infrastructure',
    fact: 'The registry {registry} failed by itself (5xx)',
    // Debian's registry says no more than 500, or `blob upload invalid`, when its disk is full.
    cure: "The build is tried again; the registry's own log says more, most often that its disk is full",
  },
];

/** What the same words mean of the cluster's own registry: nobody has a Secret for it, and its certificate is made anew with its pod. */
const OF_THE_CLUSTER: Readonly<Partial<Record<RegistryProblemKind, Partial<Row>>>> = {
  'authority-unknown': {
    blame: 'infrastructure',
    fact: "The certificate of the cluster's registry {registry} is of a newer authority than this build knows (x509)",
    cure: 'The build is tried again, and knows it then',
  },
  denied: {
    fact: "The cluster's registry {registry} does not let a build of this namespace {use} {image} (403)",
    cure: "Write containerImage below the Module's namespace there, or leave it out",
  },
  'wrong-credentials': {
    blame: 'infrastructure',
    fact: "The cluster's registry {registry} does not accept the token of the build's ServiceAccount for {image} (401)",
    cure: 'The build is tried again; the log of Deployment kmm-registry says more',
  },
  'no-credentials': {
    blame: 'infrastructure',
    fact: "The cluster's registry {registry} asks for a token to {use} {image}, and this build was given none (401)",
    cure: 'The build is tried again; see that the operator and its registry are of one version',
  },
};

export interface RegistryProblem {
  readonly kind: RegistryProblemKind;
  readonly blame: FailureCause;
  /** Fact and next step, for the user. */
  readonly sentence: string;
}

/**
 * What the last lines of skopeo or buildah mean; undefined where they are about no registry.
 *
 * The last line that says something counts: the ones above it tell of tries that were made before.
 */
export function registryProblem(lines: readonly string[], place: RegistryPlace): RegistryProblem | undefined {
  for (const line of lines.toReversed()) {
    const words = withoutNames(line, place.reference);
    const row = ROWS.find(({ signs }) => signs.some((sign) => sign.test(words)));
    if (row === undefined) continue;
    const registry = registryIn(line) ?? place.registry;
    // An image to begin FROM is more often not there than closed to everybody.
    const isRefused = row.kind === 'wrong-credentials' || (row.kind === 'not-authorized' && place.use !== 'pull');
    const isUnknown = isRefused && !place.hasCredentials(registry);
    const found = isUnknown ? rowOf('no-credentials') : row;
    const ours = place.isCluster?.(registry) === true ? OF_THE_CLUSTER[found.kind] : undefined;
    const { kind, blame, fact, cure } = { ...found, ...ours };
    return { kind, blame, sentence: `${fill(fact, registry, place)}. ${fill(cure, registry, place)}.` };
  }
  return undefined;
}

function rowOf(kind: RegistryProblemKind): Row {
  const row = ROWS.find((each) => each.kind === kind);
  if (row === undefined) throw new Error(`there is no registry problem called ${kind}`);
  return row;
}

/** What a tool says of an image, without what the image is called: a tag may be 404, and a repository may have `denied` in its name. */
function withoutNames(line: string, reference: string): string {
  return (
    line
      .replaceAll(reference, '')
      .replaceAll(/\b(?:docker|https?):\/\/[^\s"\\]+/g, '')
      .replaceAll(/\b(?:manifest|blob|tag) \S+ (?:exists )?(?:in|to) \S+/g, '')
      .replaceAll(splitImageReference(reference).name, '')
      // Digests are full of 429s and 500s.
      .replaceAll(/\b(?:sha256:)?[0-9a-f]{12,}\b/g, '')
      // host:5000 is no status of 500.
      .replaceAll(/:\d{2,5}\b/g, '')
  );
}

const HOST = String.raw`((?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::\d+)?)`;
const REGISTRY_IN = [
  new RegExp(`pinging container registry ${HOST}: `),
  new RegExp(`(?:manifest|blob) \\S+ (?:in|to|exists in) ${HOST}/`),
  new RegExp(`exists in ${HOST}/`),
  new RegExp(`docker://${HOST}/`),
  new RegExp(`https?://${HOST}/v2/`),
];

/** Of the tool's own words: `FROM` lines name registries that the request does not. */
function registryIn(line: string): string | undefined {
  for (const pattern of REGISTRY_IN) {
    const host = pattern.exec(line)?.[1];
    // A name without dot and port is the first part of a path on Docker Hub.
    if (host !== undefined && (/[.:]/.test(host) || host === 'localhost')) return host;
  }
  return undefined;
}

interface Fields {
  readonly secret: string;
  readonly insecure: string;
  readonly skip: string;
}

function fieldsOf(use: RegistryUse, section: 'build' | 'sign'): Fields {
  const field = `${section}.${use === 'pull' ? 'pull' : 'push'}`;
  return {
    secret: `spec.imageRepoSecret or ${field}.secret`,
    insecure: `${field}.insecure`,
    skip: `${field}.insecureSkipTLSVerify`,
  };
}

const VERBS: Readonly<Record<RegistryUse, string>> = { check: 'look up', pull: 'pull', push: 'push' };

type Place = Pick<RegistryPlace, 'use' | 'reference' | 'section'>;

function fill(text: string, registry: string, { use, reference, section = 'build' }: Place): string {
  const values: Readonly<Record<string, string>> = {
    registry,
    image: reference,
    use: VERBS[use],
    ...fieldsOf(use, section),
  };
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** One line of the table in the documentation. */
export interface RegistrySentence {
  readonly kind: RegistryProblemKind;
  readonly blame: FailureCause;
  readonly fact: string;
  readonly cure: string;
}

/** Every sentence with its cure, as they stand for an image that is pushed. */
export function registrySentences(): readonly RegistrySentence[] {
  return ROWS.map(sentenceOf);
}

/** Those that the cluster's own registry has instead. */
export function clusterRegistrySentences(): readonly RegistrySentence[] {
  return ROWS.filter(({ kind }) => kind in OF_THE_CLUSTER).map((row) =>
    sentenceOf({ ...row, ...OF_THE_CLUSTER[row.kind] }),
  );
}

function sentenceOf({ kind, blame, fact, cure }: Row): RegistrySentence {
  const place = { use: 'push', reference: 'REGISTRY/REPOSITORY:TAG' } as const;
  return {
    kind,
    blame,
    fact: `${fill(fact, 'REGISTRY', place)}.`,
    cure: `${fill(cure, 'REGISTRY', place)}.`,
  };
}
