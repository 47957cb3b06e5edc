import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

import { findSignFile } from './sign-tool.ts';

it('sign-file is the newest that can be run; undefined where there is none', async () => {
  const root = await mkdtemp(join(tmpdir(), 'kmm-sign-tool-'));
  try {
    const places = [
      { folder: join(root, 'absent'), name: /./ },
      { folder: root, name: /^linux-kbuild-/ },
    ];
    expect(await findSignFile(places)).toBeUndefined();
    for (const [name, mode] of [
      ['linux-kbuild-6.1', 0o755],
      ['linux-kbuild-6.12', 0o755],
      ['linux-kbuild-6.13', 0o644],
      ['other-9', 0o755],
    ] as const) {
      await mkdir(join(root, name, 'scripts'), { recursive: true });
      await writeFile(join(root, name, 'scripts', 'sign-file'), '', { mode });
    }
    expect(await findSignFile(places)).toBe(join(root, 'linux-kbuild-6.12', 'scripts', 'sign-file'));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
