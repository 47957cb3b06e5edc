import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          // A property runs a thousand times, and a machine that builds a control plane meanwhile is slow.
          testTimeout: 60_000,
          // As many as the integration tests have, so that both share one queue and no core waits for the last of either.
          maxWorkers: 2,
          // They keep nothing between them that one could spoil for the next, and a process for each costs two thirds of their time.
          isolate: false,
          include: [
            'src/**/*.test.ts',
            'hack/**/*.test.ts',
            'test/harness/**/*.test.ts',
            'test/model/**/*.test.ts',
            'test/alerts/**/*.test.ts',
            'test/docs/**/*.test.ts',
            'test/demo/**/*.test.ts',
            'test/bench/**/*.test.ts',
            'test/e2e/*.test.ts',
            'test/e2e/bed/**/*.test.ts',
            'test/e2e/foreign/**/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/faults/*.test.ts'],
          globalSetup: ['test/harness/program.ts', 'test/harness/cluster.ts'],
          // Each file may run an operator or a control plane of its own: two at a time is what two cores carry.
          maxWorkers: 2,
          testTimeout: 90_000,
          hookTimeout: 120_000,
        },
      },
      // What takes minutes or hours: `make faults`. One at a time, because each measures what a busy machine would spoil.
      ...(process.env['FAULTS'] === 'long'
        ? [
            {
              test: {
                name: 'faults',
                include: ['test/faults/long/**/*.test.ts'],
                globalSetup: ['test/harness/program.ts'],
                maxWorkers: 1,
                hookTimeout: 600_000,
              },
            },
          ]
        : []),
    ],
  },
});
