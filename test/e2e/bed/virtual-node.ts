/** A node that is a virtual machine: qemu in pure emulation, with a disk that outlives reboots. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

import { eventually } from '../../harness/eventually.ts';
import { commandLine, signalProcess } from '../../harness/processes.ts';
import { runOrThrow } from '../../harness/run.ts';
import { type ExecResult, RealNode } from '../real-node.ts';
import { type Authority, writeNodeCredentials } from './credentials.ts';
import { type GuestIdentity, guestFiles } from './guest-config.ts';
import type { Kernel } from './kernels.ts';

/** Megabytes of memory that a guest has; its qemu takes 650 MB at first and up to 1.5 GB. */
const MEMORY_MB = 1_536;
/** Two nodes share this machine; a guest whose processors wait for one another's time wastes it on spinlocks. */
const PROCESSORS = Math.max(1, Math.min(2, Math.floor(availableParallelism() / 2)));
/**
 * Made for emulation: no mitigations; a panic ends the machine. The clock is the ACPI timer. To read the processor's counter is cheaper, but kernels
 * measure its pace as they boot, and on a busy machine so badly that a guest's clock ran six times too fast, or sixty: probes failed then and
 * containers did not start in time.
 */
const KERNEL_ARGUMENTS =
  'console=ttyS0 quiet loglevel=4 mitigations=off nokaslr no_timer_check random.trust_cpu=on net.ifnames=0 panic=-1 tsc=unstable clocksource=acpi_pm';
const EXEC_PORT = 2_222;
const KUBELET_PORT = 10_250;
const WIRE_FILE = 'wire.json';

/** A wire between two nodes: what one sends to this machine's port, the other has. */
export interface Wire {
  readonly sendTo: number;
  readonly listenOn: number;
}

export interface NodeMaterial {
  /** Path of the ext4 image that the node's disk lies over. */
  readonly disk: string;
  readonly authority: Authority;
  /** Path of kube-proxy, where the node is to have one. */
  readonly kubeProxy?: string;
  /** To another node, where there is one. */
  readonly wire?: Wire;
}

/**
 * A node of the bed. All that is known of it lies in its folder, so that another process of this machine can go on with it: make one with
 * create(), or with attach() where there is one.
 */
export class VirtualNode extends RealNode {
  readonly name: string;
  readonly address: string;
  /** Its init turns the events on before anything else loads a module. */
  readonly tracing = '/sys/kernel/tracing';
  readonly #folder: string;

  private constructor(folder: string, { name, address }: { readonly name: string; readonly address: string }) {
    super();
    this.name = name;
    this.address = address;
    this.#folder = folder;
  }

  /** Writes its disk and its configuration into a new folder; does not start it. */
  static async create(folder: string, guest: GuestIdentity, material: NodeMaterial): Promise<VirtualNode> {
    const config = join(folder, 'config');
    await mkdir(config, { recursive: true });
    for (const [path, text] of Object.entries(guestFiles(guest))) {
      await mkdir(dirname(join(config, path)), { recursive: true });
      await writeFile(join(config, path), text);
    }
    await writeNodeCredentials(config, guest, material.authority);
    await writeFile(join(config, 'ca.crt'), await readFile(material.authority.certificate));
    if (material.kubeProxy !== undefined) await copyFile(material.kubeProxy, join(config, 'kube-proxy'));
    // A tar is a whole number of blocks already.
    await runOrThrow('tar', ['-C', config, '-cf', join(folder, 'config.tar'), '.']);
    const overlay = ['create', '-q', '-f', 'qcow2', '-b', material.disk, '-F', 'raw', join(folder, 'disk.qcow2')];
    await runOrThrow('qemu-img', overlay);
    if (material.wire !== undefined) await writeFile(join(folder, WIRE_FILE), JSON.stringify(material.wire));
    return new VirtualNode(folder, guest);
  }

  static attach(folder: string, guest: { readonly name: string; readonly address: string }): VirtualNode {
    return new VirtualNode(folder, guest);
  }

  /** What the guest wrote to its serial console, over all boots. */
  get consoleLog(): string {
    return join(this.#folder, 'console.log');
  }

  /**
   * Starts it; returns as soon as qemu runs.
   *
   * @param kernelArguments more of the kernel's command line, as `module.sig_enforce=1`
   */
  async start(kernel: Kernel, kernelArguments: readonly string[] = []): Promise<void> {
    await rm(join(this.#folder, 'pid'), { force: true });
    const log = openSync(join(this.#folder, 'qemu.log'), 'a');
    // Whoever ends what runs from the bed's folder ends this too: that is why it is started through a link there.
    const program = join(this.#folder, '..', '..', 'bin', 'qemu-system-x86_64');
    const child = spawn(program, this.#arguments(kernel, kernelArguments, await this.#wire()), {
      cwd: this.#folder,
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    child.unref();
    await writeFile(this.#argumentsFile, JSON.stringify(kernelArguments));
    await writeFile(join(this.#folder, 'pid'), String(child.pid));
  }

  /** Those of the present boot that start() was given. */
  async kernelArguments(): Promise<readonly string[]> {
    return JSON.parse(await readFile(this.#argumentsFile, 'utf8').catch(() => '[]'));
  }

  async #wire(): Promise<Wire | undefined> {
    const file = join(this.#folder, WIRE_FILE);
    return existsSync(file) ? JSON.parse(await readFile(file, 'utf8')) : undefined;
  }

  /** Each its own, where qemu would give all the same. */
  get #wireMac(): string {
    const last = Number(this.address.split('.').at(-1));
    return `52:54:00:77:00:${last.toString(16).padStart(2, '0')}`;
  }

  get #argumentsFile(): string {
    return join(this.#folder, 'kernel-arguments.json');
  }

  /** Paths are relative to the node's folder, but for those of the kernel. */
  #arguments(kernel: Kernel, kernelArguments: readonly string[], wire: Wire | undefined): readonly string[] {
    const forward = (port: number) => `hostfwd=tcp:${this.address}:${port}-10.0.2.15:${port}`;
    const options: Readonly<Record<string, readonly string[]>> = {
      M: ['q35,hpet=off'],
      accel: ['tcg,thread=multi,tb-size=256'],
      // Go's hashes take a fifth less where they do not think that AVX2 is fast.
      cpu: ['max,la57=off,avx2=off'],
      smp: [String(PROCESSORS)],
      m: [String(MEMORY_MB)],
      display: ['none'],
      kernel: [kernel.image],
      initrd: [kernel.initrd],
      append: [[KERNEL_ARGUMENTS, ...kernelArguments].join(' ')],
      drive: [
        'file=disk.qcow2,if=none,id=d0,cache=unsafe,discard=unmap',
        'file=config.tar,if=none,id=d1,format=raw,readonly=on',
      ],
      netdev: [
        `user,id=n0,${forward(KUBELET_PORT)},${forward(EXEC_PORT)}`,
        ...(wire === undefined
          ? []
          : [`socket,id=n1,udp=127.0.0.1:${wire.sendTo},localaddr=127.0.0.1:${wire.listenOn}`]),
      ],
      device: [
        'virtio-blk-pci,drive=d0',
        'virtio-blk-pci,drive=d1',
        'virtio-net-pci,netdev=n0,romfile=',
        ...(wire === undefined ? [] : [`virtio-net-pci,netdev=n1,romfile=,mac=${this.#wireMac}`]),
        'virtio-rng-pci',
      ],
      chardev: ['file,id=c0,path=console.log,append=on'],
      serial: ['chardev:c0'],
    };
    const words = Object.entries(options).flatMap(([name, values]) => values.flatMap((value) => [`-${name}`, value]));
    return ['-nodefaults', '-no-user-config', '-no-reboot', ...words];
  }

  /** Runs a shell command in the guest as root. Fails while the guest is paused, off or not far enough. */
  exec(command: string, signal: AbortSignal = AbortSignal.timeout(60_000)): Promise<ExecResult> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: this.address, port: EXEC_PORT, signal });
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      socket.once('error', (cause) =>
        reject(new Error(`cannot run \`${command}\` on ${this.name}: ${cause.message}`, { cause })),
      );
      socket.once('close', () => {
        const end = /\nbed-exit (\d+)\n$/.exec(text);
        if (end === null) reject(new Error(`\`${command}\` on ${this.name} was cut off: ${text.slice(-500)}`));
        else resolve({ code: Number(end[1]), output: text.slice(0, end.index) });
      });
      socket.once('connect', () => socket.write(`${Buffer.from(command).toString('base64')}\n`));
    });
  }

  /** Off, as by a person who is careful: what was written is on the disk. */
  async shutDown(): Promise<void> {
    // The answer never comes: the connection ends with the machine.
    await this.exec(
      'sync; echo s > /proc/sysrq-trigger; echo u > /proc/sysrq-trigger; echo b > /proc/sysrq-trigger',
    ).catch(() => undefined);
    await this.#untilOff().catch(() => this.kill());
  }

  /** Off at once, as by a power cut. */
  async kill(): Promise<void> {
    const pid = await this.#pid();
    if (pid === undefined) return;
    signalProcess(pid, 'SIGKILL');
    await this.#untilOff();
  }

  /** The machine stands still: its kubelet says nothing more, its kernel keeps all it has. */
  async pause(): Promise<void> {
    signalProcess(await this.#runningPid(), 'SIGSTOP');
  }

  async resume(): Promise<void> {
    signalProcess(await this.#runningPid(), 'SIGCONT');
  }

  async isOn(): Promise<boolean> {
    return (await this.#pid()) !== undefined;
  }

  #untilOff(): Promise<void> {
    return eventually(
      async () => {
        if (await this.isOn()) throw new Error('its qemu still runs');
      },
      { what: `${this.name} to be off`, timeoutMs: 60_000, intervalMs: 200 },
    );
  }

  async #runningPid(): Promise<number> {
    const pid = await this.#pid();
    if (pid === undefined) throw new Error(`${this.name} is off`);
    return pid;
  }

  /** Undefined when it is off; pids are reused, the program's path is not. */
  async #pid(): Promise<number | undefined> {
    const pid = Number(await readFile(join(this.#folder, 'pid'), 'utf8').catch(() => ''));
    if (pid === 0) return undefined;
    const [program] = await commandLine(pid);
    return program?.endsWith('/bin/qemu-system-x86_64') ? pid : undefined;
  }
}
