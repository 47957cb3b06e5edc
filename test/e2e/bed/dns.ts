/** The cluster's DNS: CoreDNS beside the control plane, where guests find it by its Service's address. */
import { spawn } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { closeSync, openSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { ControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/eventually.ts';
import { SERVICE_IP } from './guest-config.ts';

const ADDRESS = '127.0.0.1';

/** Returns when it answers. Whoever ends what runs from the control plane's folder ends it. */
export async function startDns(program: string, { directory, kubeconfig }: ControlPlane): Promise<void> {
  const link = join(directory, 'bin', 'cluster-dns');
  await symlink(program, link);
  const corefile = join(directory, 'Corefile');
  await writeFile(
    corefile,
    `. {\n bind ${ADDRESS}\n errors\n kubernetes cluster.local {\n  kubeconfig ${kubeconfig}\n }\n}\n`,
  );
  const log = openSync(join(directory, 'dns.log'), 'a');
  const child = spawn(link, ['-conf', corefile], { cwd: directory, stdio: ['ignore', log, log] });
  closeSync(log);
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  child.unref();
  const resolver = new Resolver({ timeout: 1_000, tries: 1 });
  resolver.setServers([ADDRESS]);
  await eventually(
    async () => {
      const addresses = await resolver.resolve4('kubernetes.default.svc.cluster.local');
      if (!addresses.includes(SERVICE_IP)) throw new Error(`it says ${addresses.join(', ')}`);
    },
    { what: 'the name of the API server’s Service', timeoutMs: 60_000 },
  );
}
