/** Where tests run the operator as a process, they hold it to what its image and its Deployment give it. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

import { IMAGE_NODE_OPTIONS, INSTALLED_MEMORY_MB } from './operator.ts';

it('runs with the options that the image gives Node', async () => {
  const entrypoint = /^ENTRYPOINT (?<words>.*)$/m.exec(await readFile('images/operator/Dockerfile', 'utf8'));
  const words: unknown = JSON.parse(entrypoint?.groups?.['words'] ?? '[]');
  expect(words).toEqual(['/usr/local/bin/node', ...IMAGE_NODE_OPTIONS, '/opt/kmm/kmm.mjs']);
});

it('is held to the memory that its Deployment gives it', async () => {
  const deployment = await readFile('config/manager/deployment.yaml', 'utf8');
  expect(deployment).toMatch(new RegExp(`limits:\\n +memory: ${INSTALLED_MEMORY_MB}Mi$`, 'm'));
});
