/** Kernel releases as `uname -r` prints them on real machines, by who built them; for tests. */
export const REAL_RELEASES: Readonly<Record<string, readonly string[]>> = {
  Fedora: ['5.16.11-200.fc35.x86_64', '6.0.15-300.fc37.x86_64', '6.12.0-0.rc1.20240930git9852d85ec9d4.17.fc42.x86_64'],
  'RHEL 7': ['3.10.0-1160.el7.x86_64'],
  'RHEL 8': ['4.18.0-372.9.1.el8.x86_64', '4.18.0-372.9.1.rt7.166.el8.x86_64', '4.18.0-553.el8_10.ppc64le'],
  'RHEL 9': ['5.14.0-427.13.1.el9_4.x86_64', '5.14.0-427.13.1.el9_4.x86_64+rt', '5.14.0-427.13.1.el9_4.aarch64+64k'],
  Ubuntu: ['5.15.0-91-generic', '5.4.0-1054-gke', '6.2.0-1018-azure', '6.5.0-1014-aws', '5.15.0-1053-azure-fde'],
  Debian: ['3.2.0-4-amd64', '6.1.0-18-amd64', '5.10.0-28-cloud-amd64', '6.12.22+bpo-amd64', '6.13-rc7-amd64'],
  'Amazon Linux': ['4.14.336-253.554.amzn2.x86_64', '6.1.72-96.166.amzn2023.x86_64'],
  'Container-Optimized OS': ['5.10.162+', '6.1.58+'],
  Flatcar: ['5.15.142-flatcar', '6.6.30-flatcar'],
  Talos: ['6.1.69-talos', '6.6.29-talos'],
  others: [
    '5.14.21-150500.55.39-default',
    '6.7.0-arch3-1',
    '6.6.14-0-lts',
    '5.15.133.1-microsoft-standard-WSL2',
    '6.1.66',
  ],
  'built at home': [
    '6.1.0+',
    '6.1.21-v8+',
    '6.8.0-rc3-00042-g1234567890ab-dirty',
    '6.1.0-g1a2b3c4d',
    '6.5.0-local~1',
    'custom',
    'my kernel 6',
    '6.1.0-größer',
  ],
};

export const ALL_RELEASES: readonly string[] = Object.values(REAL_RELEASES).flat();
