import { hash } from 'node:crypto';

/** Source: k8s.io/apimachinery/pkg/util/validation, LabelValueMaxLength and IsValidLabelValue. */
const LONGEST_LABEL_VALUE = 63;
const LABEL_VALUE = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

/** What every converted text ends with. */
const MARK = /_[0-9a-f]{8}$/;
const MARK_LENGTH = 9;

/** A DaemonSet's pods are called after it, with six characters more, and a pod's name becomes a host name of at most 63. */
const LONGEST_OBJECT_NAME = 57;

/** The first 8 hex digits of the text's SHA-256: tells texts apart, proves nothing. */
export function shortHash(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 8);
}

/**
 * A text as the value of a label: unchanged where it is one already, else as much of it as fits, `_` and a hash of the whole.
 *
 * Two texts never share a value, but for two whose 32-bit hashes and fronts are equal. So that nobody can call a kernel what another
 * kernel's converted release looks like, a text that ends as converted ones do is converted too, valid or not.
 */
export function labelSafe(text: string): string {
  return isLabelValue(text) && !MARK.test(text) ? text : markedLabelValue(text, shortHash(text));
}

/** The readable front of `text`, `_` and `mark` (8 hex digits): never equal to what `labelSafe` leaves unchanged. */
export function markedLabelValue(text: string, mark: string): string {
  const legal = text.slice(0, LONGEST_LABEL_VALUE).replaceAll(/[^-A-Za-z0-9_.]+/g, '_');
  const front = legal
    .slice(0, LONGEST_LABEL_VALUE - MARK_LENGTH)
    .replace(/^[^A-Za-z0-9]+/, '')
    .replace(/[^A-Za-z0-9]+$/, '');
  // A value must begin with a letter or a digit, so nothing readable at all leaves a stand-in.
  return `${front === '' ? 'x' : front}_${mark}`;
}

function isLabelValue(text: string): boolean {
  return text.length <= LONGEST_LABEL_VALUE && LABEL_VALUE.test(text);
}

/**
 * A name for an object of ours: lower-case letters, digits and `-`, at most 57 characters, `-hash` at the end. What identifies the object
 * is the hash; the parts are for people, and the longest of them are cut first.
 */
export function objectName({ parts, hash }: { readonly parts: readonly string[]; readonly hash: string }): string {
  const room = LONGEST_OBJECT_NAME - 1 - hash.length;
  const words = parts.map(nameSafe).filter((word) => word !== '');
  const share = fairShare(
    words.map((word) => word.length),
    room - Math.max(0, words.length - 1),
  );
  const front = nameSafe(words.map((word) => nameSafe(word.slice(0, share))).join('-')).slice(0, room);
  return `${nameSafe(front) || 'kmm'}-${hash}`;
}

function nameSafe(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-/, '')
    .replace(/-$/, '');
}

/** The longest that each of the texts may be so that all of them together fit into `room`. */
function fairShare(lengths: readonly number[], room: number): number {
  let left = room;
  const rising = [...lengths].sort((a, b) => a - b);
  for (const [index, length] of rising.entries()) {
    const share = Math.floor(left / (rising.length - index));
    if (length > share) return Math.max(1, share);
    left -= length;
  }
  return room;
}
