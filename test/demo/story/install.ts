import { installOperator, OPERATOR_USER } from '../../harness/operator.ts';
import { everyKernelIsLabelled } from '../expectations.ts';
import type { Step } from './step.ts';

export const install: Step = {
  title: 'The operator is installed and runs as its ServiceAccount',
  async tell(scene) {
    const { narrator, controlPlane, watch } = scene;
    narrator.command('kubectl apply --server-side -k config/crd');
    narrator.command('kubectl apply --server-side -k config/rbac');
    await narrator.expect('the API server serves Modules', async () => {
      await installOperator(controlPlane);
      watch.watchModules();
      return undefined;
    });
    narrator.command('kmm manager --kubeconfig=...');
    await narrator.expect(`the operator is ready, as ${OPERATOR_USER}`, async () => {
      await scene.startOperator();
      return undefined;
    });
    await narrator.expect('every node has its kernel as a label', () => scene.until(everyKernelIsLabelled));
  },
};
