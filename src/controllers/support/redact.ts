import { GROUP_PREFIX } from '../../api/labels.ts';
import { isRecord } from '../../kernel/json-record.ts';

const MASK = '<redacted>';

/** Annotations that repeat what is redacted elsewhere. */
const REPEATING_ANNOTATIONS: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  `${GROUP_PREFIX}build-request`,
]);

/** Lists of {name, value} whose values may be secret: containers' environment, build arguments, headers of probes. */
const VALUED_LISTS: ReadonlySet<string> = new Set(['env', 'buildArgs', 'httpHeaders']);
/** Maps that volume drivers are given, which may hold credentials. */
const SECRET_MAPS: ReadonlySet<string> = new Set(['volumeAttributes', 'options', 'stringData', 'data']);
/** A flag that takes a secret: `--token`, `-password`, `--tls-private-key`. */
const FLAG = String.raw`--?[\w.-]*(?:pass(?:word|wd|phrase)?|token|secret|credentials?|key)`;
/** What stands next in a command is its value. */
const SECRET_FLAG = new RegExp(`^${FLAG}$`, 'i');
/** The same within one text, as in the script of `sh -c`. */
const SECRET_FLAG_IN_TEXT = new RegExp(
  String.raw`((?<![\w.-])${FLAG}(?:[ \t]|\\\n){1,16})("[^"\n]{1,1024}"|'[^'\n]{1,1024}'|[^\s"'-]\S{0,1023})`,
  'gi',
);
const SECRET_KEY = /pass(word|phrase)?$|token$|credential|secret$|apikey$/i;

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, MASK],
  // JSON Web Tokens, as ServiceAccounts and registries have them. Looked for where a word begins only: each `-eyJ` within one would have
  // the rest of it read again.
  [/(?<![\w-])(?=(?:[\w-]*-)?eyJ)[\w-]{11,}\.[\w-]{8,}\.[\w-]*/g, MASK],
  [/\b(Bearer|Basic) +[\w~+/.=-]{6,}/gi, `$1 ${MASK}`],
  // user:password@ in URLs.
  [/(\/\/[^\s/:@]{0,256}:)[^\s/@]{1,256}@/g, `$1${MASK}@`],
  // password=..., --token ..., "secret": "..."
  [
    /((?:pass(?:word|wd|phrase)?|token|secret|api[_-]?key|access[_-]?key|credentials?)["']?(?:\s{0,4}[=:]\s{0,4}|\s{1,4}(?=\S{8,}$)))("[^"\n]{1,1024}"|'[^'\n]{1,1024}'|[^\s,;&"']{1,1024})/gim,
    `$1${MASK}`,
  ],
];

/**
 * Takes out of a text what looks like a secret: private keys, tokens, passwords in URLs and after words like `password=`. A secret
 * that looks like none stays, which is why values that may be one are taken out of objects by their place.
 */
export function redactText(text: string): string {
  return PATTERNS.reduce((redacted, [pattern, mask]) => redacted.replace(pattern, mask), text);
}

/**
 * A copy of an object of the API without what may be secret: values of environment variables, of build arguments and of volume
 * drivers' attributes. Names, references to Secrets and everything else stay; texts are read as `redactText` does.
 */
export function redactObject(value: unknown, key = ''): unknown {
  if (typeof value === 'string') return SECRET_KEY.test(key) && value !== '' ? MASK : redactText(value);
  if (Array.isArray(value)) {
    return value.map((item: unknown, at) => {
      if (VALUED_LISTS.has(key)) return withoutValue(item);
      return typeof item === 'string' ? redactArgument(item, value[at - 1]) : redactObject(item);
    });
  }
  if (!isRecord(value)) return value;
  if (key === 'annotations') return redactAnnotations(value);
  const isSecretMap = SECRET_MAPS.has(key);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'managedFields')
      .map(([name, item]) => [name, isSecretMap && typeof item === 'string' ? MASK : nested(name, item, key)]),
  );
}

/** `secret: {secretName}` and the names of references are no secrets, whatever their key is called. */
function nested(name: string, item: unknown, parent: string): unknown {
  const isReference = name === 'secretName' || (name === 'name' && parent !== 'env');
  return redactObject(item, isReference ? '' : name);
}

/** One text of a list, which may be a command. */
function redactArgument(argument: string, before: unknown): string {
  const isValue = typeof before === 'string' && SECRET_FLAG.test(before);
  // Behind a flag that takes no value stands the next flag.
  if (isValue && argument !== '' && !argument.startsWith('--')) return MASK;
  return redactText(argument.replaceAll(SECRET_FLAG_IN_TEXT, `$1${MASK}`));
}

function withoutValue(item: unknown): unknown {
  if (!isRecord(item)) return redactObject(item);
  const redacted = redactObject(item);
  return isRecord(redacted) && 'value' in item ? { ...redacted, value: MASK } : redacted;
}

function redactAnnotations(annotations: Readonly<Record<string, unknown>>): unknown {
  return Object.fromEntries(
    Object.entries(annotations).map(([name, item]) => [
      name,
      REPEATING_ANNOTATIONS.has(name) ? MASK : redactObject(item, name),
    ]),
  );
}
