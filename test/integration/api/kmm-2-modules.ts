/**
 * Modules as users of KMM 2.x have them stored, with every field of its API that a Module can have in one or the other.
 * Source: kernel-module-management v2.6, api/v1beta1/module_types.go and docs.
 */

import { MODULES, type Module } from '../../../src/api/module.ts';
import { apiVersionOf } from '../../../src/kube/resources.ts';

type StoredModule = Module & { readonly metadata: { readonly name: string } };

const apiVersion = apiVersionOf(MODULES);
const { kind } = MODULES;

const builtAndSigned: StoredModule = {
  apiVersion,
  kind,
  metadata: { name: 'built-and-signed' },
  spec: {
    imageRepoSecret: { name: 'registry' },
    imageRebuildTriggerGeneration: 7,
    selector: { 'node-role.kubernetes.io/worker': '', 'feature.node.kubernetes.io/pci-8086.present': 'true' },
    tolerations: [
      { key: 'gpu.example.com/dedicated', operator: 'Exists', effect: 'NoSchedule' },
      { key: 'maintenance', operator: 'Equal', value: 'soft', effect: 'NoExecute', tolerationSeconds: 300 },
    ],
    moduleLoader: {
      serviceAccountName: 'kmm-loader',
      container: {
        version: '1.2.0',
        imagePullPolicy: 'Always',
        containerImage: 'quay.io/vendor/kmod:${KERNEL_FULL_VERSION}',
        registryTLS: { insecure: false, insecureSkipTLSVerify: true },
        inTreeModulesToRemove: ['i915', 'intel_vsec'],
        modprobe: {
          moduleName: 'i915',
          dirName: '/opt',
          parameters: ['enable_guc=3', 'max_vfs=7'],
          args: { load: ['-v'], unload: ['-v', '--remove-dependencies'] },
          firmwarePath: '/firmware',
          modulesLoadingOrder: ['i915', 'intel_vsec'],
        },
        build: {
          dockerfileConfigMap: { name: 'dockerfile' },
          buildArgs: [{ name: 'FLAVOUR', value: 'lts' }],
          baseImageRegistryTLS: { insecure: true, insecureSkipTLSVerify: false },
          kanikoParams: { tag: 'v1.23.2' },
          secrets: [{ name: 'entitlement' }],
          selector: { 'kubernetes.io/arch': 'amd64' },
        },
        sign: {
          certSecret: { name: 'cert' },
          keySecret: { name: 'key' },
          filesToSign: ['/opt/lib/modules/*/i915.ko'],
          unsignedImageRegistryTLS: { insecure: false },
        },
        kernelMappings: [
          { literal: '6.0.15-300.fc37.x86_64', containerImage: 'quay.io/vendor/kmod:fc37', registryTLS: {} },
          {
            regexp: '^.+\\.fc38\\.x86_64$',
            containerImage: '',
            inTreeModulesToRemove: [],
            build: { dockerfileConfigMap: { name: 'dockerfile-38' }, buildArgs: [{ name: 'A', value: '' }] },
          },
          {
            regexp: '^.+$',
            containerImage: 'quay.io/vendor/kmod:${KERNEL_XYZ}',
            sign: { unsignedImage: 'quay.io/vendor/unsigned:1', certSecret: { name: 'c' }, keySecret: { name: 'k' } },
          },
        ],
      },
    },
    devicePlugin: {
      serviceAccountName: 'device-plugin',
      automountServiceAccountToken: true,
      container: {
        image: 'quay.io/vendor/device-plugin:1',
        imagePullPolicy: 'IfNotPresent',
        command: ['/plugin'],
        args: ['--shared-dev-num=10'],
        env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
        resources: { limits: { cpu: 1, memory: '128Mi' }, requests: { cpu: '100m' } },
        volumeMounts: [{ name: 'dev', mountPath: '/dev/dri' }],
      },
      initContainer: { image: 'quay.io/vendor/init:1', command: ['/init'], volumeMounts: [] },
      volumes: [
        { name: 'dev', hostPath: { path: '/dev/dri', type: 'Directory' } },
        { name: 'config', configMap: { name: 'plugin', defaultMode: 420, items: [{ key: 'a', path: 'a' }] } },
      ],
    },
  },
};

const rawArgumentsAndDra: StoredModule = {
  apiVersion,
  kind,
  metadata: { name: 'raw-arguments-and-dra' },
  spec: {
    selector: {},
    moduleLoader: {
      container: {
        inTreeModuleToRemove: 'ice',
        containerImage: 'quay.io/vendor/ice@sha256:0000000000000000000000000000000000000000000000000000000000000000',
        modprobe: { rawArgs: { load: ['-vd', '/opt', 'ice'], unload: ['-rvd', '/opt', 'ice'] } },
        kernelMappings: [{ literal: '5.14.0-503.el9', containerImage: '', inTreeModuleToRemove: 'ice' }],
      },
    },
    dra: {
      driverName: 'gpu.example.com',
      serviceAccountName: 'dra',
      automountServiceAccountToken: false,
      container: { image: 'quay.io/vendor/dra:1', env: [{ name: 'CDI_ROOT', value: '/var/run/cdi' }] },
      initContainer: { image: 'quay.io/vendor/init:1' },
      volumes: [{ name: 'cdi', hostPath: { path: '/var/run/cdi', type: 'DirectoryOrCreate' } }],
      deviceClasses: [
        {
          name: 'gpu.example.com',
          selectors: [{ cel: { expression: "device.driver == 'gpu.example.com'" } }],
          config: [
            { opaque: { driver: 'gpu.example.com', parameters: { sharing: { strategy: 'TimeSlicing' }, n: 1 } } },
          ],
        },
      ],
    },
  },
};

/** Without a module loader KMM 2.x runs the device plugin of a driver that is in the kernel's tree. */
const inTreeDriver: StoredModule = {
  apiVersion,
  kind,
  metadata: { name: 'in-tree-driver' },
  spec: {
    selector: { 'kubernetes.io/os': 'linux' },
    devicePlugin: { container: { image: 'quay.io/vendor/device-plugin:1' } },
  },
};

export const KMM_2_MODULES = [builtAndSigned, rawArgumentsAndDra, inTreeDriver] as const;
