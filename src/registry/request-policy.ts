/** What one request of the registry's API wants, read from its method and address alone. */
export type Wish =
  /** `GET /v2/`: which API this is, and whether credentials count. */
  | { readonly kind: 'ping' }
  | { readonly kind: 'read' }
  /** Uploads, manifests and the state of an upload: for those who may push into `namespace`. */
  | { readonly kind: 'write'; readonly namespace: string; readonly repository: string }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** An answer in the registry API's own form. */
export interface Refusal {
  readonly status: number;
  /** Of the OCI distribution specification, Error Codes. */
  readonly code: 'UNAUTHORIZED' | 'DENIED' | 'UNSUPPORTED' | 'NAME_INVALID' | 'UNAVAILABLE' | 'TOOMANYREQUESTS';
  /** A fact and a next step. */
  readonly message: string;
}

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
/** Source: OCI distribution specification, the grammar of <name>. */
const NAME = `${COMPONENT}(?:/${COMPONENT})*`;
const TAG = '[A-Za-z0-9_][A-Za-z0-9._-]{0,127}';
const DIGEST = '[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]{1,256}';
/** The registry makes the last part of an upload's address; what it makes is a UUID. */
const OBJECT = new RegExp(
  `^/v2/(?<name>${NAME})/(?:(?<upload>blobs/uploads/(?<id>[A-Za-z0-9_=-]{0,128}))|(?<manifest>manifests/(?:${DIGEST}|${TAG}))|` +
    `(?:blobs/${DIGEST})|(?:tags/list)|(?:referrers/${DIGEST}))$`,
);
const REPOSITORY = new RegExp(`^${NAME}$`);
const LONGEST_PATH = 1_024;
const LONGEST_NAME = 255;

/**
 * Judges a request by what it is, not by what it is not: every path that the API does not have is refused, and with it every other
 * spelling of one that it has (`..`, `%2f`, `//`, capitals), which the registry behind might read otherwise than we do.
 *
 * @param target as it stands in the request line
 */
export function wishOf(method: string, target: string): Wish {
  const [path, query] = splitTarget(target);
  const isRead = method === 'GET' || method === 'HEAD';
  if (path === '/v2/' || path === '/v2') return isRead ? { kind: 'ping' } : refused(405, 'UNSUPPORTED', NO_SUCH_VERB);
  if (method === 'DELETE') {
    return refused(
      405,
      'UNSUPPORTED',
      'nothing can be deleted from this registry by its API: old images go with its volume',
    );
  }
  const match = path.length > LONGEST_PATH ? null : OBJECT.exec(path);
  const { name, upload, id, manifest } = match?.groups ?? {};
  if (name === undefined || name.length > LONGEST_NAME) return refused(404, 'NAME_INVALID', BAD_PATH);
  if (!isRead) {
    const isWrite =
      (method === 'POST' && upload !== undefined && id === '') ||
      ((method === 'PATCH' || method === 'PUT') && upload !== undefined && id !== '') ||
      (method === 'PUT' && manifest !== undefined);
    if (!isWrite) return refused(405, 'UNSUPPORTED', NO_SUCH_VERB);
  }
  if (isRead && upload === undefined) return { kind: 'read' };
  // A blob may be taken from any repository, as it may be read from any; but from a repository, and nothing else.
  const from = new URLSearchParams(query).getAll('from');
  if (from.some((repository) => !REPOSITORY.test(repository))) return refused(400, 'NAME_INVALID', BAD_PATH);
  const slash = name.indexOf('/');
  if (slash < 0) {
    return refused(403, 'DENIED', `${name} stands in no namespace: push to NAMESPACE/${name}`);
  }
  return { kind: 'write', namespace: name.slice(0, slash), repository: name };
}

const NO_SUCH_VERB = 'this method is not part of pulling or pushing';
const BAD_PATH =
  'this is no address of an image: a repository is written in lower case, its parts with one / between, and nothing of it is escaped';

function splitTarget(target: string): readonly [string, string] {
  const at = target.indexOf('?');
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at + 1)];
}

function refused(status: number, code: Refusal['code'], message: string): Wish {
  return { kind: 'refused', refusal: { status, code, message } };
}

/** The password of basic authentication; undefined where none is sent, or an empty one, as tools without credentials do. */
export function passwordOf(authorization: string | undefined): string | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const password = text.slice(text.indexOf(':') + 1);
  return text.includes(':') && password !== '' ? password : undefined;
}

/** As the registry's clients read it. */
export function errorBody({ code, message }: Refusal): string {
  return `${JSON.stringify({ errors: [{ code, message }] })}\n`;
}
