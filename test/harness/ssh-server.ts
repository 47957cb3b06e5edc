import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

import { eventually } from './eventually.ts';
import { freePorts } from './ports.ts';
import { signalProcess } from './processes.ts';
import { runOrThrow } from './run.ts';
import { recordSecret } from './test-secrets.ts';

export interface SshServer extends AsyncDisposable {
  readonly port: number;
  /** Who is let in: the user that runs the tests. */
  readonly user: string;
  /** Text of a private key that is let in, and of one that is not. */
  readonly privateKey: string;
  readonly strangeKey: string;
  /** Text of a known_hosts with the server's key, and of one with another key for it. */
  readonly knownHosts: string;
  readonly wrongKnownHosts: string;
  stop(): Promise<void>;
}

/**
 * Starts a real sshd on a free loopback port, with a host key of its own; one key is let in, and no password. It must run as root, since it
 * gives up its privileges for each connection.
 */
export async function startSshServer(): Promise<SshServer> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'kmm-ssh-')));
  try {
    for (const name of ['host', 'other-host', 'client', 'stranger']) {
      await runOrThrow('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, name)]);
    }
    const read = (name: string) => readFile(join(folder, name), 'utf8');
    for (const name of ['client', 'stranger']) recordSecret(`the ssh key ${name}`, await read(name));
    await writeFile(join(folder, 'authorized_keys'), await read('client.pub'), { mode: 0o600 });
    // sshd wants this folder, which Debian makes when the service starts.
    await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
    const [port = 0] = await freePorts(1);
    await writeFile(join(folder, 'sshd_config'), configuration(folder, port));
    const server = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const stop = async () => {
      await end(server);
      await rm(folder, { recursive: true, force: true });
    };
    try {
      await untilListening(server, port);
    } catch (error) {
      await end(server);
      throw error;
    }
    const known = async (name: string) => `[127.0.0.1]:${port} ${await read(`${name}.pub`)}`;
    return {
      port,
      user: userInfo().username,
      privateKey: await read('client'),
      strangeKey: await read('stranger'),
      knownHosts: await known('host'),
      wrongKnownHosts: await known('other-host'),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function configuration(folder: string, port: number): string {
  return `Port ${port}
ListenAddress 127.0.0.1
HostKey ${folder}/host
PidFile none
AuthorizedKeysFile ${folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv GIT_PROTOCOL
`;
}

async function untilListening(server: ChildProcess, port: number): Promise<void> {
  let said = '';
  server.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
  await eventually(
    async () => {
      if (server.exitCode !== null) throw new Error(`sshd ended: ${said}`);
      const socket = createConnection({ port, host: '127.0.0.1' });
      await once(socket, 'connect');
      socket.destroy();
    },
    { what: 'sshd to listen' },
  );
}

async function end(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, 'exit');
  signalProcess(server.pid, 'SIGTERM');
  await ended;
}
