import { describe, expect, it } from 'vitest';
import { type ManagerConfig, managerFlagReference, parseManagerConfig } from './config.ts';

const outsideAPod = (): undefined => undefined;

function configOf(
  argv: readonly string[],
  env: Record<string, string> = {},
  pod: () => string | undefined = outsideAPod,
) {
  const result = parseManagerConfig(argv, env, pod);
  if (!result.ok) throw new Error(`refused: ${result.errors.join(' ')}`);
  return result;
}

function errorsOf(argv: readonly string[], env: Record<string, string> = {}): readonly string[] {
  const result = parseManagerConfig(argv, env, outsideAPod);
  return result.ok ? [] : result.errors;
}

describe('parseManagerConfig', () => {
  it('gives every default when nothing is said', () => {
    const expected: ManagerConfig = {
      namespace: 'kmm-system',
      watchNamespaces: [],
      leaderElect: true,
      leaderElectionId: 'kmm.sigs.x-k8s.io',
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2_000,
      metricsBindAddress: ':8080',
      metricsAuthentication: false,
      healthProbeBindAddress: ':8081',
      logLevel: 'info',
      selectorGracePeriodMs: 600_000,
      priorityClassName: 'system-node-critical',
      moduleConcurrency: 4,
      nodeConcurrency: 16,
      statusIntervalMs: 5_000,
      maxConcurrentRequests: 32,
      buildEngine: 'auto',
      builderImage: expect.stringMatching(/^kmm-builder:\d/),
      buildIsolation: 'auto',
      builderSeccompProfile: '',
      builderRegistriesConf: '',
      registryPullHost: '',
      registryPushHost: '',
      maxConcurrentBuilds: 4,
      buildGcDelayMs: 0,
      buildAttempts: 8,
      buildRetryBackoffMs: 30_000,
    };
    expect(configOf([]).config).toEqual(expected);
  });

  it('takes a flag before its variable, and a variable before the default, and says which it was', () => {
    const env = { KMM_MODULE_CONCURRENCY: '7', KMM_NODE_CONCURRENCY: '8' };
    const { config, sources } = configOf(['--module-concurrency', '9'], env);
    expect([config.moduleConcurrency, config.nodeConcurrency, config.maxConcurrentRequests]).toEqual([9, 8, 32]);
    expect(sources.get('moduleConcurrency')).toEqual({ from: 'flag', name: '--module-concurrency' });
    expect(sources.get('nodeConcurrency')).toEqual({ from: 'env', name: 'KMM_NODE_CONCURRENCY' });
    expect(sources.get('maxConcurrentRequests')).toEqual({ from: 'default', name: '--max-concurrent-requests' });
    expect(sources.get('kubeconfig')).toBeUndefined();
  });

  it("takes the pod's namespace before the default, and a flag before it", () => {
    const inPod = configOf([], {}, () => 'drivers');
    expect(inPod.config.namespace).toBe('drivers');
    expect(inPod.sources.get('namespace')?.from).toBe('service-account');
    expect(configOf(['--namespace=mine'], {}, () => 'drivers').config.namespace).toBe('mine');
  });

  it.each([
    [['--leader-elect'], true],
    [['--leader-elect=true'], true],
    [['--leader-elect=false'], false],
    [['--leader-elect', 'false'], false],
  ])('reads %j as %s', (argv, expected) => {
    expect(configOf(argv).config.leaderElect).toBe(expected);
  });

  it.each([
    ['', []],
    ['drivers', ['drivers']],
    ['drivers, more,drivers', ['drivers', 'more']],
  ])('reads the namespaces %j as %j', (text, expected) => {
    expect(configOf([`--watch-namespaces=${text}`]).config.watchNamespaces).toEqual(expected);
  });

  it('refuses what is no list of namespaces', () => {
    const expected = 'a list of namespaces; write their names with commas between them, or nothing for all';
    for (const text of ['Drivers', 'a,,b', '*', 'a b']) {
      expect(errorsOf([`--watch-namespaces=${text}`])).toEqual([`--watch-namespaces: "${text}" is not ${expected}.`]);
    }
  });

  it('takes an empty priority class as none', () => {
    expect(configOf(['--priority-class-name=']).config.priorityClassName).toBe('');
    expect(configOf([], { KMM_PRIORITY_CLASS_NAME: '' }).config.priorityClassName).toBe('');
  });

  it.each([
    ['0', 'disabled'],
    [':9090', 'a port of every address'],
    ['127.0.0.1:9090', 'one address'],
    ['[::1]:9090', 'an IPv6 address'],
    ['localhost:9090', 'a name'],
  ])('takes %s as an address: %s', (address) => {
    expect(configOf(['--metrics-bind-address', address]).config.metricsBindAddress).toBe(address);
  });

  const notADuration = 'is not a duration; write it as Go does, for example 10m, 1h30m or 250ms.';
  const notAnAddress =
    'is not an address to listen on; write :8080, 127.0.0.1:8080 or [::1]:8080, or 0 to listen nowhere.';
  it.each<[string, string[], Record<string, string>, string]>([
    [
      'a duration in words',
      ['--selector-grace-period', '10 minutes'],
      {},
      `--selector-grace-period: "10 minutes" ${notADuration}`,
    ],
    ['a duration without a unit', ['--status-interval=5'], {}, `--status-interval: "5" ${notADuration}`],
    ['a negative duration', ['--status-interval=-5s'], {}, `--status-interval: "-5s" ${notADuration}`],
    [
      'a bad duration in a variable',
      [],
      { KMM_STATUS_INTERVAL: 'soon' },
      `KMM_STATUS_INTERVAL: "soon" ${notADuration}`,
    ],
    [
      'a number in words',
      ['--module-concurrency=four'],
      {},
      '--module-concurrency: "four" is not a whole number from 1 to 1000.',
    ],
    [
      'a number of 0',
      ['--module-concurrency=0'],
      {},
      '--module-concurrency: "0" is not a whole number from 1 to 1000.',
    ],
    ['a fraction', ['--node-concurrency=1.5'], {}, '--node-concurrency: "1.5" is not a whole number from 1 to 1000.'],
    ['a port alone', ['--metrics-bind-address=8080'], {}, `--metrics-bind-address: "8080" ${notAnAddress}`],
    ['a port too high', ['--metrics-bind-address=:65536'], {}, `--metrics-bind-address: ":65536" ${notAnAddress}`],
    [
      'half an IP address',
      ['--metrics-bind-address=10.0.0:80'],
      {},
      `--metrics-bind-address: "10.0.0:80" ${notAnAddress}`,
    ],
    ['a level that is none', ['--log-level=loud'], {}, '--log-level: "loud" is not one of debug, info, warn, error.'],
    ['a boolean that is none', [], { KMM_LEADER_ELECT: 'yes' }, 'KMM_LEADER_ELECT: "yes" is not true or false.'],
    [
      'a namespace in capitals',
      ['--namespace=KMM'],
      {},
      '--namespace: "KMM" is not a name; use at most 63 lower-case letters, digits and dashes.',
    ],
    ['a misspelt flag', ['--leader-elct=false'], {}, '--leader-elct is not a known flag; did you mean --leader-elect.'],
    [
      'a flag of another program',
      ['--kubelet-dir=/x'],
      {},
      '--kubelet-dir is not a known flag; --help lists them all.',
    ],
    ['a stray word', ['now'], {}, '"now" is not an option; options begin with two dashes.'],
    ['a flag without its value', ['--namespace'], {}, '--namespace needs a value.'],
    [
      'a misspelt variable',
      [],
      { KMM_LOGLEVEL: 'debug' },
      'KMM_LOGLEVEL is not a known environment variable; did you mean KMM_LOG_LEVEL.',
    ],
    [
      'a renew deadline as long as the lease',
      ['--leader-elect-renew-deadline=15s'],
      {},
      '--leader-elect-renew-deadline must be shorter than --leader-elect-lease-duration, or two replicas could be active at once.',
    ],
    [
      'a retry period as long as the renew deadline',
      ['--leader-elect-retry-period=10s'],
      {},
      '--leader-elect-retry-period must be longer than 0 and shorter than --leader-elect-renew-deadline.',
    ],
    [
      'one port twice',
      ['--metrics-bind-address=:8081'],
      {},
      '--metrics-bind-address and --health-probe-bind-address both use port 8081; give them different ones.',
    ],
  ])('refuses %s in one sentence', (_mistake, argv, env, sentence) => {
    expect(errorsOf(argv, env)).toEqual([sentence]);
  });

  it('finds all mistakes at once', () => {
    const errors = errorsOf(['--module-concurrency=x', '--nope', 'word'], { KMM_NOPE: '1', KMM_STATUS_INTERVAL: 'x' });
    expect(errors).toHaveLength(5);
  });

  it("lets the variables be that the kubelet adds for a Service of the operator's namespace", () => {
    const env = {
      KMM_METRICS_SERVICE_HOST: '10.0.0.1',
      KMM_METRICS_SERVICE_PORT: '8080',
      KMM_METRICS_SERVICE_PORT_HTTPS: '8443',
      KMM_METRICS_PORT: 'tcp://10.0.0.1:8080',
      KMM_METRICS_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
      KMM_METRICS_PORT_8080_TCP_ADDR: '10.0.0.1',
      KMM_SERVICE_HOST: '10.0.0.2',
      KMM_PORT: 'tcp://10.0.0.2:80',
      PATH: '/bin',
    };
    expect(errorsOf([], env)).toEqual([]);
    expect(errorsOf([], { KMM_METRICS_PORT: '8080' })).toHaveLength(1);
  });

  it('gives its help and no error when asked for it', () => {
    const result = parseManagerConfig(['--help'], {}, outsideAPod);
    expect(result).toMatchObject({ ok: false, errors: [] });
    expect(!result.ok && result.help).toContain('--selector-grace-period <duration>');
    expect(!result.ok && result.help).toContain('KMM_SELECTOR_GRACE_PERIOD');
    expect(!result.ok && result.help).not.toContain('preset');
  });
});

describe('managerFlagReference', () => {
  it('lists every option with its variable, and every default is a value the option takes', () => {
    const rows = managerFlagReference();
    expect(rows).toContainEqual({
      flag: '--status-interval',
      env: 'KMM_STATUS_INTERVAL',
      default: '5s',
      description: 'The least time between two writes of a status in which only counts change.',
    });
    const argv = rows.filter((row) => row.default !== '').flatMap((row) => [row.flag, row.default]);
    expect(errorsOf(argv)).toEqual([]);
    expect(rows.every((row) => row.description.endsWith('.'))).toBe(true);
  });
});
