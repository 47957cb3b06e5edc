/** Debian packages over HTTP, and a script that installs them, for a RUN of a Dockerfile: what `apt-get install` does, without the internet. */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

export interface PackageServer {
  /** An instruction that installs a part of the packages; shell's variables may stand in its name. */
  readonly install: (part: string) => string;
  readonly stop: () => Promise<void>;
}

/** Serves a folder that has a folder of packages for each part. */
export async function servePackages(folder: string): Promise<PackageServer> {
  const files = new Map<string, readonly string[]>();
  for (const part of await readdir(folder)) files.set(part, await readdir(join(folder, part)));
  let url = '';
  const server = createServer((request, response) => {
    const [part = '', file] = decodeURIComponent((request.url ?? '').slice(1)).split('/');
    const names = files.get(part) ?? [];
    if (names.length === 0) return void response.writeHead(404).end();
    if (file === undefined) return void response.end(script(`${url}/${part}`, names));
    if (!names.includes(file)) return void response.writeHead(404).end();
    createReadStream(join(folder, part, file)).pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server of packages has no port');
  url = `http://127.0.0.1:${address.port}`;
  return {
    install: (part) => `RUN wget -q -O - ${url}/${part} | sh`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function script(url: string, names: readonly string[]): string {
  const steps = names.map((name) => `wget -q -O p.deb '${url}/${encodeURIComponent(name)}' && dpkg-deb -x p.deb /`);
  return ['set -e', 'cd /tmp', ...steps, 'rm p.deb', ''].join('\n');
}
