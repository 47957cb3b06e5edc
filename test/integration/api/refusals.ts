/** Every mistake that admission finds in a Module, with the one sentence that it is refused with. */
import { EVERY_KERNEL } from '../../harness/modules.ts';
import {
  build,
  image,
  mapping,
  maxUnavailable,
  moduleWith,
  mount,
  selector,
  toleration,
  volume,
} from './module-with.ts';

export interface Refusal {
  readonly what: string;
  readonly module: object;
  /** Path of the field at which kubectl points. */
  readonly field: string;
  /** How what is said ends: our sentence, or the server's own. */
  readonly sentence: string;
}

export const EXACTLY_ONE =
  'a mapping needs exactly one of literal and regexp: write literal for one kernel release, or regexp for all that match';
const RE2 =
  'evaluating rule: regexp must be an RE2 pattern, which is what Go has: see https://github.com/google/re2/wiki/Syntax';
const KNOWN_VARIABLES =
  'write one of KERNEL_FULL_VERSION, KERNEL_VERSION, KERNEL_XYZ, KERNEL_X, KERNEL_Y, KERNEL_Z, MOD_NAME, MOD_NAMESPACE, ARCH, ' +
  'as in ${KERNEL_FULL_VERSION}';
const ONE_SOURCE = 'a build needs exactly one source: write one of dockerfile, dockerfileConfigMap and git';
const EMPTY_NAME = "name is empty: write the name of an object in the Module's namespace, or remove the whole field";
const LOADER_PATHS =
  "/lib/modules and /usr/lib/modules are reserved: the operator mounts the host's /lib/modules there; choose another path";
const PLUGIN_PATH = '/var/lib/kubelet/device-plugins is reserved: the operator mounts it itself; choose another path';
const ABSOLUTE = 'a mount path must be absolute and free of ..: write it in full';
export const MAX_UNAVAILABLE =
  'write how many nodes may be without the module at once: a number from 1, or a percentage from 1% to 100%';
const TIMEOUT =
  'a timeout is written in hours, minutes and seconds, as in 90m or 1h30m; it is more than nothing, and less than 1000h';
const LABEL_VALUE =
  'not a valid label value, so no node can match: write at most 63 letters, digits, - _ or ., with a letter or digit at both ends';
const LABEL_KEY = 'is not a valid label key, so no node can match: write [prefix/]name as it stands on the nodes';
const FORMS =
  'the two forms of a Module do not mix: moduleLoader.container, devicePlugin.container and dra (modprobe form) exclude ' +
  'kernelMappings, additionalVolumes, upgradePolicy and container fields beside them (driver container form); write one form';

const MAPPINGS: readonly Refusal[] = [
  {
    what: 'both literal and regexp',
    module: mapping({ literal: '6.1.0' }),
    field: 'spec.kernelMappings[0]',
    sentence: EXACTLY_ONE,
  },
  {
    what: 'neither literal nor regexp',
    module: mapping({ regexp: undefined }),
    field: 'spec.kernelMappings[0]',
    sentence: EXACTLY_ONE,
  },
  {
    what: 'a regexp that is not RE2',
    module: mapping({ regexp: 'a(b' }),
    field: 'spec.kernelMappings[0].regexp',
    sentence: `error parsing regexp: missing closing ): \`a(b\` ${RE2}`,
  },
  {
    what: 'a look-ahead, which RE2 does not have',
    module: mapping({ regexp: '^6[.](?!1)' }),
    field: 'spec.kernelMappings[0].regexp',
    sentence: `error parsing regexp: invalid or unsupported Perl syntax: \`(?!\` ${RE2}`,
  },
  {
    what: 'an empty literal',
    module: mapping({ regexp: undefined, literal: '' }),
    field: 'spec.kernelMappings[0].literal',
    sentence: 'in body should be at least 1 chars long',
  },
  {
    what: 'a mapping without an image',
    module: mapping({ containerImage: undefined }),
    field: 'spec.kernelMappings[0].containerImage',
    sentence:
      'containerImage is missing: write the image of the module loader for these kernels, or say in build how to make it',
  },
  {
    what: 'an unknown variable in an image',
    module: image('quay.io/kmod:${KERNAL_VERSION}'),
    field: 'spec.kernelMappings[0].containerImage',
    sentence: `unknown image variable \${KERNAL_VERSION}: ${KNOWN_VARIABLES}`,
  },
  {
    what: 'an unknown variable after known ones, with a default',
    module: image('quay.io/${MOD_NAME}:${KERNEL_X}-${FLAVOUR:-generic}'),
    field: 'spec.kernelMappings[0].containerImage',
    sentence: `unknown image variable \${FLAVOUR:-generic}: ${KNOWN_VARIABLES}`,
  },
  {
    what: 'an empty variable',
    module: image('quay.io/kmod:${}'),
    field: 'spec.kernelMappings[0].containerImage',
    sentence: `unknown image variable \${}: ${KNOWN_VARIABLES}`,
  },
  {
    what: 'an unterminated variable',
    module: image('quay.io/kmod:${KERNEL_VERSION'),
    field: 'spec.kernelMappings[0].containerImage',
    sentence: 'an image variable is not closed: every ${ needs a }',
  },
  {
    what: 'an unterminated variable after an unknown one: the first mistake only',
    module: image('quay.io/${NAME}:${KERNEL_VERSION'),
    field: 'spec.kernelMappings[0].containerImage',
    sentence: 'an image variable is not closed: every ${ needs a }',
  },
  {
    what: 'white space in an image',
    module: image('quay.io/kmod: latest'),
    field: 'spec.kernelMappings[0].containerImage',
    sentence: 'an image reference has no white space: write [registry/]repository:tag or @digest',
  },
  {
    what: 'no mapping at all',
    module: moduleWith({ kernelMappings: undefined }),
    field: 'spec.kernelMappings',
    sentence: 'kernelMappings is missing: write at least one mapping from kernels to an image',
  },
  {
    what: 'an empty list of mappings',
    module: moduleWith({ kernelMappings: [] }),
    field: 'spec.kernelMappings',
    sentence: 'should have at least 1 items',
  },
  {
    what: '257 mappings',
    module: moduleWith({ kernelMappings: Array.from({ length: 257 }, () => EVERY_KERNEL) }),
    field: 'spec.kernelMappings',
    sentence: 'must have at most 256 items',
  },
];

const BUILDS: readonly Refusal[] = [
  {
    what: 'a build without a source',
    module: build({ buildArgs: [{ name: 'A', value: 'b' }] }),
    field: 'spec.kernelMappings[0].build',
    sentence: ONE_SOURCE,
  },
  {
    what: 'a build with two sources',
    module: build({ dockerfile: 'FROM x', dockerfileConfigMap: { name: 'd' } }),
    field: 'spec.kernelMappings[0].build',
    sentence: ONE_SOURCE,
  },
  {
    what: 'a Git URL of a protocol that is none',
    module: build({ git: { url: 'file:///etc' } }),
    field: 'spec.kernelMappings[0].build.git.url',
    sentence: 'write an https, http, ssh or git URL, as in https://git.example.com/driver.git',
  },
  {
    what: 'a Git URL with a password',
    module: build({ git: { url: 'https://somebody:secret@git.test/driver.git' } }),
    field: 'spec.kernelMappings[0].build.git.url',
    sentence:
      'a URL must hold no password: everybody who may read the Module reads it; write it into the Secret of git.secret',
  },
  {
    what: 'a build context outside the repository',
    module: build({ git: { url: 'https://git.test/driver.git', contextDir: 'a/../../etc' } }),
    field: 'spec.kernelMappings[0].build.git.contextDir',
    sentence: 'write a path inside the repository, without a leading / and without ..',
  },
  {
    what: 'a Dockerfile outside the repository',
    module: build({ git: { url: 'https://git.test/driver.git', dockerfile: '/etc/passwd' } }),
    field: 'spec.kernelMappings[0].build.git.dockerfile',
    sentence: 'write a path inside the repository, without a leading / and without ..',
  },
  {
    what: 'a build argument whose name is an option',
    module: build({ dockerfile: 'FROM x', buildArgs: [{ name: '--squash', value: 'b' }] }),
    field: 'spec.kernelMappings[0].build.buildArgs[0].name',
    sentence: "spec.kernelMappings[0].build.buildArgs[0].name in body should match '^[A-Za-z_][A-Za-z0-9_]*$'",
  },
  {
    what: 'a digest of an image that is to be built',
    module: mapping({ containerImage: `r.test/x@sha256:${'0'.repeat(64)}`, build: { dockerfile: 'FROM x' } }),
    field: 'spec.kernelMappings[0].containerImage',
    sentence: 'an image that is yet to be made has no digest: write containerImage with a tag',
  },
  {
    what: 'a sign of nothing',
    module: mapping({ sign: { keySecret: { name: 'k' }, certSecret: { name: 'c' } } }),
    field: 'spec.kernelMappings[0].sign',
    sentence: 'unsignedImage is missing: write the image to sign, or say in build how to make one',
  },
  {
    what: 'a sign of what is built and of something else',
    module: mapping({
      build: { dockerfile: 'FROM x' },
      sign: { keySecret: { name: 'k' }, certSecret: { name: 'c' }, unsignedImage: 'r.test/x:1' },
    }),
    field: 'spec.kernelMappings[0].sign',
    sentence: 'what is built is what is signed: remove unsignedImage, or build',
  },
  {
    what: 'a sign of what is built with a pull of its own',
    module: mapping({
      build: { dockerfile: 'FROM x' },
      sign: { keySecret: { name: 'k' }, certSecret: { name: 'c' }, push: { insecure: true } },
    }),
    field: 'spec.kernelMappings[0].sign',
    sentence: 'pull and push are those of build where there is one: write them there',
  },
  {
    what: 'a build argument given twice',
    module: build({
      dockerfile: 'FROM x',
      buildArgs: [
        { name: 'A', value: 'b' },
        { name: 'A', value: 'c' },
      ],
    }),
    field: 'spec.kernelMappings[0].build.buildArgs[1]',
    sentence: 'Duplicate value: {"name":"A"}',
  },
  {
    what: 'a build secret without a name',
    module: build({ dockerfile: 'FROM x', secrets: [{}] }),
    field: 'spec.kernelMappings[0].build.secrets[0]',
    sentence: EMPTY_NAME,
  },
  {
    what: 'an empty ConfigMap name',
    module: build({ dockerfileConfigMap: { name: '' } }),
    field: 'spec.kernelMappings[0].build.dockerfileConfigMap',
    sentence: EMPTY_NAME,
  },
  {
    what: 'an empty push secret',
    module: build({ dockerfile: 'FROM x', push: { secret: { name: '' } } }),
    field: 'spec.kernelMappings[0].build.push.secret',
    sentence: EMPTY_NAME,
  },
  {
    what: 'an empty key secret',
    module: mapping({ sign: { keySecret: { name: '' }, certSecret: { name: 'c' }, unsignedImage: 'r.test/x:1' } }),
    field: 'spec.kernelMappings[0].sign.keySecret',
    sentence: EMPTY_NAME,
  },
  {
    what: 'a sign without a certificate',
    module: mapping({ sign: { keySecret: { name: 'k' }, unsignedImage: 'r.test/x:1' } }),
    field: 'spec.kernelMappings[0].sign.certSecret',
    sentence: 'Required value',
  },
  {
    what: 'a bad toleration of a build',
    module: build({ dockerfile: 'FROM x', tolerations: [{ key: 'a', operator: 'Exist' }] }),
    field: 'spec.kernelMappings[0].build.tolerations[0].operator',
    sentence: 'supported values: "Equal", "Exists"',
  },
  {
    what: 'a key in the selector of a build that no label can have',
    module: build({ dockerfile: 'FROM x', selector: { 'disk type': 'ssd' } }),
    field: 'spec.kernelMappings[0].build.selector',
    sentence: `"disk type" ${LABEL_KEY}`,
  },
  {
    what: 'a value in the selector of a build that no label can have',
    module: build({ dockerfile: 'FROM x', selector: { disk: 'a b' } }),
    field: 'spec.kernelMappings[0].build.selector[disk]',
    sentence: LABEL_VALUE,
  },
  ...['0s', '0h0m', '1000h', '600000h', '1000000s'].map((timeout) => ({
    what: `a timeout of ${timeout}`,
    module: build({ dockerfile: 'FROM x', timeout }),
    field: 'spec.kernelMappings[0].build.timeout',
    sentence: TIMEOUT,
  })),
  {
    what: 'a timeout that is no duration',
    module: build({ dockerfile: 'FROM x', timeout: '90 minutes' }),
    field: 'spec.kernelMappings[0].build.timeout',
    sentence: TIMEOUT,
  },
];

const NODES_AND_TAINTS: readonly Refusal[] = [
  {
    what: 'a selector key that no label can have',
    module: selector({ 'a b': 'true', ok: 'true' }),
    field: 'spec.selector',
    sentence: `"a b" ${LABEL_KEY}`,
  },
  {
    what: 'a selector key with two slashes',
    module: selector({ 'a/b/c': 'true' }),
    field: 'spec.selector',
    sentence: `"a/b/c" ${LABEL_KEY}`,
  },
  {
    what: 'an empty selector key',
    module: selector({ '': 'x' }),
    field: 'spec.selector',
    sentence: `"" ${LABEL_KEY}`,
  },
  {
    what: 'a selector value that no label can have',
    module: selector({ a: 'not valid' }),
    field: 'spec.selector[a]',
    sentence: LABEL_VALUE,
  },
  {
    what: 'a selector value of 64 characters',
    module: selector({ a: 'x'.repeat(64) }),
    field: 'spec.selector[a]',
    sentence: LABEL_VALUE,
  },
  {
    what: 'a selector value that YAML read as a boolean',
    module: selector({ 'feature.node.kubernetes.io/cpu-cpuid.VMX': true }),
    field: 'spec.selector.feature.node.kubernetes.io/cpu-cpuid.VMX',
    sentence: 'in body must be of type string: "boolean"',
  },
  {
    what: 'no selector',
    module: moduleWith({ selector: undefined }),
    field: 'spec.selector',
    sentence: 'Required value',
  },
  {
    what: 'a toleration without a key',
    module: toleration({ effect: 'NoSchedule' }),
    field: 'spec.tolerations[0]',
    sentence:
      'operator must be Exists when key is empty: name a key, or write operator: Exists to tolerate every taint',
  },
  {
    what: 'a toleration of existence with a value',
    module: toleration({ key: 'a', operator: 'Exists', value: 'b' }),
    field: 'spec.tolerations[0]',
    sentence: 'value must be empty when operator is Exists: remove value, or write operator: Equal',
  },
  {
    what: 'tolerationSeconds without NoExecute',
    module: toleration({ key: 'a', operator: 'Exists', tolerationSeconds: 1 }),
    field: 'spec.tolerations[0]',
    sentence: 'tolerationSeconds needs effect NoExecute: write effect: NoExecute, or remove tolerationSeconds',
  },
  {
    what: 'a toleration with a misspelt operator',
    module: toleration({ operator: 'exists' }),
    field: 'spec.tolerations[0].operator',
    sentence: 'supported values: "Equal", "Exists"',
  },
  {
    what: 'a toleration with a misspelt effect',
    module: toleration({ key: 'a', operator: 'Exists', effect: 'NoSchedul' }),
    field: 'spec.tolerations[0].effect',
    sentence: 'supported values: "NoExecute", "NoSchedule", "PreferNoSchedule"',
  },
  {
    what: 'a toleration with a key that no taint can have',
    module: toleration({ key: 'a b', operator: 'Exists' }),
    field: 'spec.tolerations[0].key',
    sentence: 'not a valid taint key, so no taint can match: write [prefix/]name as it stands on the nodes',
  },
];

const CONTAINERS: readonly Refusal[] = [
  {
    what: 'a mount of a volume that is not there',
    module: mount('moduleLoader', '/firmware', 'frimware'),
    field: 'spec.moduleLoader.volumeMounts',
    sentence:
      'a mount names the volume frimware, which is not in spec.additionalVolumes: add it there, or remove the mount',
  },
  {
    what: "a device plugin's mount of a volume that is not there",
    module: mount('devicePlugin', '/firmware', 'frimware'),
    field: 'spec.devicePlugin.volumeMounts',
    sentence:
      'a mount names the volume frimware, which is not in spec.additionalVolumes: add it there, or remove the mount',
  },
  {
    what: 'a reserved volume name',
    module: moduleWith({ additionalVolumes: [{ name: 'kmm-lib-modules', emptyDir: {} }] }),
    field: 'spec.additionalVolumes[0].name',
    sentence: 'volume names that begin with kmm- are reserved for the volumes the operator adds: choose another name',
  },
  {
    what: 'a volume name with capitals',
    module: moduleWith({ additionalVolumes: [{ name: 'Firmware', emptyDir: {} }] }),
    field: 'spec.additionalVolumes[0].name',
    sentence: 'a volume name is made of lower-case letters, digits and -, with a letter or digit at both ends',
  },
  {
    what: 'two volumes of one name',
    module: moduleWith({ additionalVolumes: [volume, volume] }),
    field: 'spec.additionalVolumes[1]',
    sentence: 'Duplicate value: {"name":"firmware"}',
  },
  ...[
    '/lib/modules',
    '/lib/modules/',
    '//lib/modules',
    '/lib/./modules',
    '/./lib//modules',
    '/lib/modules/x',
    '/usr/lib/modules',
    '/usr//lib/modules/6.1.0/extra',
  ].map((path) => ({
    what: `a loader's mount at ${path}`,
    module: mount('moduleLoader', path),
    field: 'spec.moduleLoader.volumeMounts[0].mountPath',
    sentence: LOADER_PATHS,
  })),
  ...[
    '/var/lib/kubelet/device-plugins',
    '/var/lib/./kubelet//device-plugins/',
    '/var/lib/kubelet/device-plugins/x',
  ].map((path) => ({
    what: `a device plugin's mount at ${path}`,
    module: mount('devicePlugin', path),
    field: 'spec.devicePlugin.volumeMounts[0].mountPath',
    sentence: PLUGIN_PATH,
  })),
  ...['relative', '/a/../lib/modules', ''].map((path) => ({
    what: `a mount at ${JSON.stringify(path)}`,
    module: mount('moduleLoader', path),
    field: 'spec.moduleLoader.volumeMounts[0].mountPath',
    sentence: ABSOLUTE,
  })),
  {
    what: 'two mounts at one path',
    module: moduleWith({
      additionalVolumes: [volume],
      moduleLoader: {
        volumeMounts: [
          { name: 'firmware', mountPath: '/f' },
          { name: 'firmware', mountPath: '/f' },
        ],
      },
    }),
    field: 'spec.moduleLoader.volumeMounts[1]',
    sentence: 'Duplicate value: {"mountPath":"/f"}',
  },
  {
    what: 'no module loader',
    module: moduleWith({ moduleLoader: undefined }),
    field: 'spec.moduleLoader',
    sentence: 'moduleLoader is missing: write the container that loads the module, at least moduleLoader: {}',
  },
  {
    what: 'a device plugin without an image',
    module: moduleWith({ devicePlugin: { args: ['-v'] } }),
    field: 'spec.devicePlugin',
    sentence: 'image is missing: write the image of the device plugin, or remove devicePlugin',
  },
  {
    what: 'an empty pull secret',
    module: moduleWith({ imageRepoSecret: { name: '' } }),
    field: 'spec.imageRepoSecret',
    sentence: EMPTY_NAME,
  },
  {
    what: 'a termination grace period of 0 s, which would kill the loader before it unloads',
    module: moduleWith({ moduleLoader: { terminationGracePeriodSeconds: 0 } }),
    field: 'spec.moduleLoader.terminationGracePeriodSeconds',
    sentence: 'should be greater than or equal to 1',
  },
  {
    what: 'a string where a list is',
    module: moduleWith({ moduleLoader: { command: 'modprobe' } }),
    field: 'spec.moduleLoader.command',
    sentence: 'in body must be of type array: "string"',
  },
];

const ROLLOUT: readonly Refusal[] = [0, -1, '0%', '101%', '5', '1.5%', 'all'].map((value) => ({
  what: `maxUnavailable ${JSON.stringify(value)}`,
  module: maxUnavailable(value),
  field: 'spec.upgradePolicy.maxUnavailable',
  sentence: MAX_UNAVAILABLE,
}));

const MIXED: readonly Refusal[] = [
  { moduleLoader: { container: {}, terminationGracePeriodSeconds: 5 }, kernelMappings: undefined },
  { moduleLoader: { container: {} } },
  { moduleLoader: { container: {}, env: [] }, kernelMappings: undefined },
  { moduleLoader: { container: {} }, kernelMappings: undefined, additionalVolumes: [volume] },
  { devicePlugin: { container: { image: 'i' } } },
  { devicePlugin: { image: 'i', volumes: [] } },
  { devicePlugin: { image: 'i', initContainer: {} } },
  { dra: { driverName: 'gpu.example.com' } },
].map((fields) => ({
  what: `the two forms mixed in ${JSON.stringify(fields)}`,
  module: moduleWith(fields),
  field: 'spec',
  sentence: FORMS,
}));

export const REFUSALS: readonly (readonly [string, readonly Refusal[]])[] = [
  ['kernel mappings', MAPPINGS],
  ['builds and signing', BUILDS],
  ['the selector and tolerations', NODES_AND_TAINTS],
  ['containers and volumes', CONTAINERS],
  ['the upgrade policy', ROLLOUT],
  ['the two forms', MIXED],
];
