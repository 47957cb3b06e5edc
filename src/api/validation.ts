/**
 * The CRD's validation: what is refused at admission, and the sentence that says so.
 *
 * The server puts the path of the field before each message, so a message says what is wrong and what to write instead.
 * CEL's cost limits count the longest possible input: whatever a rule walks has maxItems or maxLength in the schema. A message that
 * names the culprit is made with format(): the server reckons + with a name of unknown length as boundless, and refuses the CRD.
 */
import { TEMPLATE_VARIABLES } from '../kernel/template.ts';
import { type CelRule, CONTAINER_FIELDS } from './embedded.ts';

const LABEL_NAME = '[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';
const LABEL_PREFIX = '[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*';

const LABEL_KEY = `^(${LABEL_PREFIX}/)?${LABEL_NAME}$`;

const BAD_LABEL_KEY = 'is not a valid label key, so no node can match: write [prefix/]name as it stands on the nodes';

export const SELECTOR_RULES: readonly CelRule[] = [
  {
    rule: `self.all(key, key.matches('${LABEL_KEY}'))`,
    message: `a key ${BAD_LABEL_KEY}`,
    messageExpression: `'"%s" ${BAD_LABEL_KEY}'.format([self.filter(key, !key.matches('${LABEL_KEY}'))[0]])`,
  },
];

export const SELECTOR_VALUE_RULES: readonly CelRule[] = [
  {
    rule: `self == '' || self.matches('^${LABEL_NAME}$')`,
    message:
      'not a valid label value, so no node can match: write at most 63 letters, digits, - _ or ., with a letter or digit at both ends',
  },
];

const TOLERATES_BY_EXISTENCE = "(has(self.operator) && self.operator == 'Exists')";

/** Source: k8s.io/kubernetes/pkg/apis/core/validation, ValidateTolerations. Operators and effects are enums of the schema. */
export const TOLERATION_RULES: readonly CelRule[] = [
  {
    rule: `!has(self.key) || self.key == '' || self.key.matches('${LABEL_KEY}')`,
    message: 'not a valid taint key, so no taint can match: write [prefix/]name as it stands on the nodes',
    fieldPath: '.key',
  },
  {
    rule: `${TOLERATES_BY_EXISTENCE} || (has(self.key) && self.key != '')`,
    message: 'operator must be Exists when key is empty: name a key, or write operator: Exists to tolerate every taint',
  },
  {
    rule: `!${TOLERATES_BY_EXISTENCE} || !has(self.value) || self.value == ''`,
    message: 'value must be empty when operator is Exists: remove value, or write operator: Equal',
  },
  {
    rule: "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
    message: 'tolerationSeconds needs effect NoExecute: write effect: NoExecute, or remove tolerationSeconds',
  },
];

export const REFERENCE_RULES: readonly CelRule[] = [
  {
    rule: "has(self.name) && self.name != ''",
    message: "name is empty: write the name of an object in the Module's namespace, or remove the whole field",
  },
];

export const MAPPING_RULES: readonly CelRule[] = [
  {
    rule: 'has(self.literal) != has(self.regexp)',
    message:
      'a mapping needs exactly one of literal and regexp: write literal for one kernel release, or regexp for all that match',
  },
  {
    rule: 'has(self.containerImage) || has(self.build) || has(self.sign)',
    message:
      'containerImage is missing: write the image of the module loader for these kernels, or say in build how to make it',
    fieldPath: '.containerImage',
  },
  {
    rule: "!(has(self.build) || has(self.sign)) || !has(self.containerImage) || !self.containerImage.contains('@')",
    message: 'an image that is yet to be made has no digest: write containerImage with a tag',
    fieldPath: '.containerImage',
  },
  {
    rule: '!has(self.sign) || has(self.build) || has(self.sign.unsignedImage)',
    message: 'unsignedImage is missing: write the image to sign, or say in build how to make one',
    fieldPath: '.sign',
  },
  {
    rule: '!has(self.sign) || !has(self.build) || !has(self.sign.unsignedImage)',
    message: 'what is built is what is signed: remove unsignedImage, or build',
    fieldPath: '.sign',
  },
  {
    rule: '!has(self.sign) || !has(self.build) || !(has(self.sign.pull) || has(self.sign.push))',
    message: 'pull and push are those of build where there is one: write them there',
    fieldPath: '.sign',
  },
];

export const REGEXP_RULES: readonly CelRule[] = [
  {
    // Evaluating a pattern that RE2 cannot parse is an error of the rule, and its text reaches the user: RE2's own words.
    rule: "''.matches(self) in [true, false]",
    message: 'regexp must be an RE2 pattern, which is what Go has: see https://github.com/google/re2/wiki/Syntax',
  },
];

const KNOWN_VARIABLE = `[$][{](${TEMPLATE_VARIABLES.join('|')})(:-[^}]*)?[}]`;

/** As much of an image reference as expandTemplate understands: known variables, and every $ that begins none. */
const UNDERSTOOD = `^([^$]|[$]+[^{$]|[$]*${KNOWN_VARIABLE})*`;
const UNCLOSED_VARIABLE = "self.matches('[$][{][^}]*$')";
const WRITE_A_KNOWN_ONE = `write one of ${TEMPLATE_VARIABLES.join(', ')}, as in \${KERNEL_FULL_VERSION}`;

export const IMAGE_TEMPLATE_RULES: readonly CelRule[] = [
  {
    rule: `!${UNCLOSED_VARIABLE}`,
    message: 'an image variable is not closed: every ${ needs a }',
  },
  {
    // One pass of a long pattern: a loop over self.findAll() goes far over CEL's cost budget.
    rule: `${UNCLOSED_VARIABLE} || self.matches('${UNDERSTOOD}[$]*$')`,
    message: `unknown image variable: ${WRITE_A_KNOWN_ONE}`,
    messageExpression:
      `'unknown image variable %s: ${WRITE_A_KNOWN_ONE}'.format(` +
      `[self.substring(self.find('${UNDERSTOOD}').size()).find('[$][{][^}]*[}]')])`,
  },
  {
    rule: "!self.matches('[[:space:]]')",
    message: 'an image reference has no white space: write [registry/]repository:tag or @digest',
  },
];

export const BUILD_RULES: readonly CelRule[] = [
  {
    rule: '[has(self.dockerfile), has(self.dockerfileConfigMap), has(self.git)].filter(given, given).size() == 1',
    message: 'a build needs exactly one source: write one of dockerfile, dockerfileConfigMap and git',
  },
];

export const GIT_URL_RULES: readonly CelRule[] = [
  {
    rule: "self.matches('^((https?|ssh|git)://[^/]|[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:)')",
    message: 'write an https, http, ssh or git URL, as in https://git.example.com/driver.git',
  },
  {
    rule: "!self.matches('^[a-z]+://[^/@]*:[^/@]*@')",
    message:
      'a URL must hold no password: everybody who may read the Module reads it; write it into the Secret of git.secret',
  },
];

export const REPOSITORY_PATH_RULES: readonly CelRule[] = [
  {
    rule: "!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
    message: 'write a path inside the repository, without a leading / and without ..',
  },
];

export const TIMEOUT_RULES: readonly CelRule[] = [
  {
    rule: "self.matches('[1-9]') && self.matches('^([0-9]{1,3}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$')",
    message:
      'a timeout is written in hours, minutes and seconds, as in 90m or 1h30m; it is more than nothing, and less than 1000h',
  },
];

export const MAX_UNAVAILABLE_RULES: readonly CelRule[] = [
  {
    rule: "type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')",
    message: 'write how many nodes may be without the module at once: a number from 1, or a percentage from 1% to 100%',
  },
];

export const VOLUME_NAME_RULES: readonly CelRule[] = [
  {
    rule: "!self.startsWith('kmm-')",
    message: 'volume names that begin with kmm- are reserved for the volumes the operator adds: choose another name',
  },
  {
    rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    message: 'a volume name is made of lower-case letters, digits and -, with a letter or digit at both ends',
  },
];

/** What stands for one slash in a path: `/`, `//`, `/./`. */
const SLASH = '/+([.]/+)*';

const CLEAN_PATH: CelRule = {
  rule: "self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
  message: 'a mount path must be absolute and free of ..: write it in full',
};

export const LOADER_MOUNT_PATH_RULES: readonly CelRule[] = [
  CLEAN_PATH,
  {
    rule: `!self.matches('^${SLASH}(usr${SLASH})?lib${SLASH}modules(/|$)')`,
    message:
      "/lib/modules and /usr/lib/modules are reserved: the operator mounts the host's /lib/modules there; choose another path",
  },
];

export const PLUGIN_MOUNT_PATH_RULES: readonly CelRule[] = [
  CLEAN_PATH,
  {
    rule: `!self.matches('^${['', 'var', 'lib', 'kubelet', 'device-plugins'].join(SLASH)}(/|$)')`,
    message: '/var/lib/kubelet/device-plugins is reserved: the operator mounts it itself; choose another path',
  },
];

const has = (...path: string[]): string =>
  path.map((_, index) => `has(self.${path.slice(0, index + 1).join('.')})`).join(' && ');

const anyOf = (terms: readonly string[]): string => terms.map((term) => `(${term})`).join(' || ');

/** Keys that only today's KMM 2.x Modules have. */
const MODPROBE_FORM = anyOf([
  has('moduleLoader', 'container'),
  ...['container', 'initContainer', 'volumes', 'automountServiceAccountToken'].map((key) => has('devicePlugin', key)),
  has('dra'),
]);

const DRIVER_CONTAINER_FORM = anyOf([
  has('kernelMappings'),
  has('additionalVolumes'),
  has('upgradePolicy'),
  has('moduleLoader', 'terminationGracePeriodSeconds'),
  `has(self.moduleLoader) && (${CONTAINER_FIELDS.map((field) => `has(self.moduleLoader.${field})`).join(' || ')})`,
  `has(self.devicePlugin) && (${CONTAINER_FIELDS.map((field) => `has(self.devicePlugin.${field})`).join(' || ')})`,
]);

function mountsWithVolume(key: 'moduleLoader' | 'devicePlugin'): CelRule {
  const mounts = `self.${key}.volumeMounts`;
  const isThere = 'has(self.additionalVolumes) && self.additionalVolumes.exists(volume, volume.name == mount.name)';
  const next = 'which is not in spec.additionalVolumes: add it there, or remove the mount';
  return {
    rule: `!has(self.${key}) || !has(${mounts}) || ${mounts}.all(mount, ${isThere})`,
    message: `a mount names a volume ${next}`,
    messageExpression: `'a mount names the volume %s, ${next}'.format([${mounts}.filter(mount, !(${isThere}))[0].name])`,
    fieldPath: `.${key}.volumeMounts`,
  };
}

export const SPEC_RULES: readonly CelRule[] = [
  {
    rule: `!((${MODPROBE_FORM}) && (${DRIVER_CONTAINER_FORM}))`,
    message:
      'the two forms of a Module do not mix: moduleLoader.container, devicePlugin.container and dra (modprobe form) exclude ' +
      'kernelMappings, additionalVolumes, upgradePolicy and container fields beside them (driver container form); write one form',
  },
  {
    rule: `(${MODPROBE_FORM}) || has(self.moduleLoader)`,
    message: 'moduleLoader is missing: write the container that loads the module, at least moduleLoader: {}',
    fieldPath: '.moduleLoader',
  },
  {
    rule: `(${MODPROBE_FORM}) || has(self.kernelMappings)`,
    message: 'kernelMappings is missing: write at least one mapping from kernels to an image',
    fieldPath: '.kernelMappings',
  },
  {
    rule: `(${MODPROBE_FORM}) || !has(self.devicePlugin) || (has(self.devicePlugin.image) && self.devicePlugin.image != '')`,
    message: 'image is missing: write the image of the device plugin, or remove devicePlugin',
    fieldPath: '.devicePlugin',
  },
  mountsWithVolume('moduleLoader'),
  mountsWithVolume('devicePlugin'),
];
