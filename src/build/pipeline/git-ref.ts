/** A line of git-ls-remote(1). */
export interface RemoteRef {
  readonly commit: string;
  /** As `refs/heads/main`; a tag's own commit is `refs/tags/v1^{}`. */
  readonly name: string;
}

export type FoundRef =
  | { readonly kind: 'found'; readonly commit: string; readonly ref: string | undefined }
  | { readonly kind: 'missing' };

/** Full ids, of SHA-1 and SHA-256 repositories. */
const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i;

export function parseLsRemote(answer: string): readonly RemoteRef[] {
  return answer.split('\n').flatMap((line) => {
    const [commit, name] = line.split('\t');
    return commit === undefined || name === undefined || !COMMIT.test(commit) ? [] : [{ commit, name }];
  });
}

/** What git-check-ref-format(1) forbids; it also keeps a ref from being a pattern or an option. */
export function isRefName(ref: string): boolean {
  return (
    ref !== '@' &&
    !/[\p{Cc} ~^:?*[\\]/u.test(ref) &&
    !/\.\.|@\{|\/\/|^\/|\/$|\.$|^-/.test(ref) &&
    ref.split('/').every((part) => !part.startsWith('.') && !part.endsWith('.lock'))
  );
}

/** The names that git-ls-remote(1) is asked for. */
export function wantedRefs(ref: string | undefined): readonly string[] {
  if (ref === undefined) return ['HEAD'];
  const full = ref.startsWith('refs/') ? [ref, `${ref}^{}`] : [];
  return [...full, `refs/heads/${ref}`, `refs/tags/${ref}`, `refs/tags/${ref}^{}`];
}

/** A branch, then a tag, then a full commit id as it is. An annotated tag counts as the commit it points to. */
export function findRef(ref: string | undefined, refs: readonly RemoteRef[]): FoundRef {
  const commits = new Map(refs.map(({ name, commit }) => [name, commit]));
  for (const name of wantedRefs(ref).filter((wanted) => !wanted.endsWith('^{}'))) {
    const commit = commits.get(`${name}^{}`) ?? commits.get(name);
    if (commit !== undefined) return { kind: 'found', commit, ref: name };
  }
  return ref !== undefined && COMMIT.test(ref)
    ? { kind: 'found', commit: ref.toLowerCase(), ref: undefined }
    : { kind: 'missing' };
}

const MOST_NAMES = 10;

/** What a repository has instead of a ref that is not there: branches first, ten names at most. */
export function describeRefs(refs: readonly RemoteRef[]): string {
  const named = (prefix: string) =>
    refs.flatMap(({ name }) => (name.startsWith(prefix) && !name.endsWith('^{}') ? [name.slice(prefix.length)] : []));
  const branches = named('refs/heads/');
  const tags = named('refs/tags/');
  if (branches.length + tags.length === 0) return 'no branch and no tag';
  return [list('branches', branches), list('tags', tags)].filter((text) => text !== '').join('; ');
}

function list(what: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  return `${what}: ${names.slice(0, MOST_NAMES).join(', ')}${more}`;
}
