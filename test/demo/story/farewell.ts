import { matching } from '../../harness/audit.ts';
import { OPERATOR_USER } from '../../harness/operator.ts';
import type { Step } from './step.ts';

export const farewell: Step = {
  title: 'The operator is asked to stop',
  async tell({ narrator, operator, controlPlane }) {
    const errors = (await operator.log()).filter(({ level }) => level === 'error' || level === 'fatal');
    await narrator.fact('it has logged no error', errors[0]?.msg);
    narrator.command(`kill ${operator.pid}`);
    await narrator.expect('it ends with exit code 0', async () => {
      const code = await operator.stop();
      return code === 0 ? undefined : `it ended with ${code}`;
    });
    const requests = matching(await controlPlane.auditEvents(), { user: OPERATOR_USER });
    const [forbidden] = requests.filter(({ code }) => code === 401 || code === 403);
    await narrator.fact(
      `none of its ${requests.length} requests was forbidden: its rights are enough`,
      forbidden && `${forbidden.verb} ${forbidden.uri}`,
    );
  },
};
