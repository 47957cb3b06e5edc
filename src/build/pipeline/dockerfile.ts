/** What the pipeline must know of a Dockerfile before buildah reads it. It judges nothing: what is wrong with one, buildah says. */

/** Instructions without comments, with continued lines joined. Source: docs.docker.com/reference/dockerfile, Format. */
export function instructions(text: string): string[] {
  const escape = /^\s*#\s*escape\s*=\s*`/im.test(text) ? '`' : '\\';
  const found: string[] = [];
  let open = '';
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(#|$)/.test(line)) continue;
    const trimmed = line.trimEnd();
    if (trimmed.endsWith(escape)) {
      open += `${trimmed.slice(0, -1)} `;
      continue;
    }
    found.push((open + trimmed).trim());
    open = '';
  }
  return open.trim() === '' ? found : [...found, open.trim()];
}

/**
 * The images that a build of this text pulls, so far as they can be read off it: of FROM, COPY --from and RUN --mount=from, with the build
 * arguments filled in. Stages of the text itself are none.
 */
export function imagesOf(text: string, buildArgs: Readonly<Record<string, string>>): string[] {
  const values = new Map<string, string>();
  const stages = new Set<string>(['scratch']);
  const images = new Set<string>();
  const add = (name: string): void => {
    const image = expand(name, values);
    if (image !== '' && !stages.has(image.toLowerCase()) && !/^\d+$/.test(image) && !image.includes('$'))
      images.add(image);
  };
  for (const instruction of instructions(text)) {
    const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(instruction) ?? [];
    switch (word.toUpperCase()) {
      case 'ARG':
        for (const [, name = '', preset] of rest.matchAll(/([A-Za-z_]\w*)(?:=("[^"]*"|'[^']*'|\S*))?/g)) {
          const value = Object.hasOwn(buildArgs, name) ? buildArgs[name] : unquoted(preset);
          if (value !== undefined) values.set(name, value);
        }
        break;
      case 'FROM': {
        const [name = '', as = '', stage = ''] = rest.split(/\s+/).filter((part) => !part.startsWith('--'));
        add(name);
        if (as.toUpperCase() === 'AS') stages.add(stage.toLowerCase());
        break;
      }
      case 'COPY':
      case 'RUN':
        for (const [, , name = ''] of rest.matchAll(/(^|[\s,])(?:--)?from=([^\s,]+)/g)) add(unquoted(name) ?? '');
    }
  }
  return [...images];
}

function unquoted(value: string | undefined): string | undefined {
  return value?.replace(/^(["'])(.*)\1$/, '$2');
}

/** `$NAME`, `${NAME}` and `${NAME:-default}`; what has no value stays as it is. */
function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(
    /\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))/g,
    (whole, braced?: string, preset?: string, plain?: string) => {
      return values.get(braced ?? plain ?? '') ?? preset ?? whole;
    },
  );
}

/** Ids of secrets that some RUN takes at their own place, /run/secrets/ID. */
export function secretsAtTheirPlace(text: string): Set<string> {
  const ids = new Set<string>();
  for (const instruction of instructions(text)) {
    if (!/^RUN\s/i.test(instruction)) continue;
    for (const [, mount = ''] of instruction.matchAll(/--mount=(\S+)/g)) {
      const options = new Map(mount.split(',').map((part): [string, string] => splitOption(part)));
      const id = options.get('id');
      const target = options.get('target') ?? options.get('dst') ?? options.get('destination');
      if (
        options.get('type') === 'secret' &&
        id !== undefined &&
        (target === undefined || target === `/run/secrets/${id}`)
      )
        ids.add(id);
    }
  }
  return ids;
}

function splitOption(part: string): [string, string] {
  const at = part.indexOf('=');
  return at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
}
