import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** In the order of the files' names: what is simple comes first, and tells most when it fails. */
class ByName extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => a.moduleId.localeCompare(b.moduleId));
  }
}

// Apart from vitest.config.ts at the root: `make test` runs all projects of that one, and a bed takes minutes.
export default defineConfig({
  test: {
    name: 'e2e',
    include: ['test/e2e/scenarios/**/*.test.ts'],
    globalSetup: ['test/e2e/global-setup.ts'],
    // Scenarios share two nodes, and one kernel module is loaded in one way at a time.
    fileParallelism: false,
    sequence: { sequencer: ByName },
    // Conditions have deadlines of their own; these are for what hangs.
    testTimeout: 40 * 60_000,
    hookTimeout: 30 * 60_000,
    teardownTimeout: 60_000,
  },
});
