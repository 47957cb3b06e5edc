import { countByVerbAndResource, matching, writes } from '../../harness/audit.ts';
import { eventually } from '../../harness/eventually.ts';
import { OPERATOR_USER, type OperatorProcess } from '../../harness/operator.ts';
import { NODES_OF_THE_DEMO } from '../cast.ts';
import { type Found, firstOf, nodeNamed } from '../expectations.ts';
import type { Picture } from '../picture.ts';
import type { Step } from './step.ts';

const NODE = 'node-2';

export const outage: Step = {
  title: 'A node is cordoned and the operator is killed, and nothing is unloaded',
  async tell(scene) {
    const { narrator, controlPlane } = scene;
    const before = loadersOf(scene.picture);
    const { record, end } = scene.record();
    await scene.kubectl('cordon', NODE);
    await narrator.expect(`${NODE} is cordoned`, () =>
      scene.until((picture) => (nodeNamed(picture, NODE).cordoned ? undefined : 'it is not')),
    );
    narrator.command(`kill -9 ${scene.operator.pid}`);
    await scene.operator.kill();
    const mark = await controlPlane.auditMark();
    await narrator.expect('a new operator leads and has looked at everything', async () => {
      await scene.startOperator();
      return hasLookedAtEverything(scene.operator, scene.signal);
    });
    const events = matching(await controlPlane.auditEvents(mark), { user: OPERATOR_USER });
    end();
    await narrator.fact(
      'it has read the cluster and written nothing but its Lease',
      firstOf(nothingWritten(), noReads()),
    );
    await narrator.fact(
      `all ${before.length} loaders are the same containers as before`,
      firstOf(
        record.unloaded.length === 0 ? undefined : `loaders were stopped on ${record.unloaded.join(', ')}`,
        loadersOf(scene.picture).join() === before.join() ? undefined : `now ${loadersOf(scene.picture).join('; ')}`,
        record.mostWithout === 0 ? undefined : `${record.mostWithout} nodes lost their ready label`,
      ),
    );
    await scene.kubectl('uncordon', NODE);

    function nothingWritten(): Found {
      const counts = countByVerbAndResource(writes(events));
      return counts.size === 0 ? undefined : [...counts].map(([what, count]) => `${count} times ${what}`).join(', ');
    }

    /** Without this, an operator that does nothing at all would pass. */
    function noReads(): Found {
      return events.some(({ verb }) => verb === 'list' || verb === 'watch') ? undefined : 'it has read nothing';
    }
  },
};

/** A line for each loader; the same line means the same pod, whose container was never started again. */
function loadersOf({ nodes }: Picture): readonly string[] {
  return nodes.flatMap(({ name, loader, loaded }) =>
    loader === undefined
      ? []
      : [`${name}: ${loader.uid}, ${loader.restarts} restarts, ${loaded ? 'loaded' : 'not loaded'}`],
  );
}

/** It leads, has reconciled the Module and every node once, and nothing waits. */
export async function hasLookedAtEverything(operator: OperatorProcess, signal: AbortSignal): Promise<Found> {
  const value = async (series: string): Promise<number> => (await operator.metric(series)) ?? 0;
  const reconciled = async (controller: string): Promise<number> => {
    const results = ['success', 'requeue_after'].map((result) =>
      value(`controller_runtime_reconcile_total{controller="${controller}",result="${result}"}`),
    );
    return (await Promise.all(results)).reduce((sum, count) => sum + count, 0);
  };
  const depth = (name: string): Promise<number> => value(`workqueue_depth{name="${name}",controller="${name}"}`);
  try {
    await eventually(
      async () => {
        const [modules, nodes] = [await reconciled('module'), await reconciled('node')];
        const waiting = (await depth('module')) + (await depth('node'));
        if (modules < 1 || nodes < NODES_OF_THE_DEMO.length || waiting > 0) {
          throw new Error(`it has reconciled ${modules} Modules and ${nodes} nodes, and ${waiting} wait`);
        }
      },
      { what: 'the operator to look at everything', signal },
    );
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return error instanceof Error ? error.message : String(error);
  }
}
