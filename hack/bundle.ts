/** `make build`: the operator as JavaScript in dist/, or in the folder that is named; one chunk for what is imported lazily, so that it stays lazy. */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { build, type Plugin } from 'esbuild';

/**
 * The client needs two of undici's dispatchers. The whole package, with fetch, WebSocket, caches and mocks, takes 5 MB of memory more.
 * Whatever else src/ imports from it stops the build. undici's own index adds the API's methods to Dispatcher, so this does too.
 */
const UNDICI_PARTS = { Pool: 'pool', ProxyAgent: 'proxy-agent' };
const undiciParts: Plugin = {
  name: 'undici-parts',
  setup(bundler) {
    const namespace = 'undici-parts';
    bundler.onResolve({ filter: /^undici$/ }, ({ importer }) =>
      importer.includes('/node_modules/') ? undefined : { path: 'undici', namespace },
    );
    bundler.onLoad({ filter: /^undici$/, namespace }, () => ({
      contents: [
        "import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';",
        "import api from 'undici/lib/api/index.js';",
        'Object.assign(Dispatcher.prototype, api);',
        ...Object.entries(UNDICI_PARTS).map(
          ([name, file]) => `export { default as ${name} } from 'undici/lib/dispatcher/${file}.js';`,
        ),
      ].join('\n'),
      resolveDir: process.cwd(),
    }));
  },
};

const outdir = process.argv[2] ?? 'dist';
// Chunks of an earlier build would stay.
if (outdir === 'dist') await rm(outdir, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { kmm: 'src/main.ts' },
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  sourcemap: 'linked',
  // Names stay, for stack traces. Comments would stay in memory with the source, and one letter beyond Latin 1 in them makes V8 keep the
  // whole file in two bytes a letter.
  minifyWhitespace: true,
  lineLimit: 160,
  legalComments: 'linked',
  keepNames: true,
  plugins: [undiciParts],
  metafile: true,
  // Dependencies that are CommonJS call require() for Node's own modules; an ES module has none.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';const require = __createRequire(import.meta.url);",
  },
});
for (const file of Object.keys(metafile.outputs).filter((output) => output.endsWith('.mjs'))) {
  const { size } = await stat(join(process.cwd(), file));
  console.log(`${file}  ${(size / 1024).toFixed(0)} KB`);
}
