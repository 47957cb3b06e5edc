import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DAEMONSETS, LEASES, NODES, PODS } from './core.ts';
import { collectionPath, describeAttempt, objectPath, queryString } from './paths.ts';

describe('paths', () => {
  test.each([
    [objectPath(NODES, { name: 'worker-1' }), '/api/v1/nodes/worker-1'],
    [objectPath(NODES, { name: 'worker-1' }, 'status'), '/api/v1/nodes/worker-1/status'],
    [objectPath(PODS, { name: 'p', namespace: 'n' }), '/api/v1/namespaces/n/pods/p'],
    [objectPath(DAEMONSETS, { name: 'd', namespace: 'n' }), '/apis/apps/v1/namespaces/n/daemonsets/d'],
    [collectionPath(LEASES), '/apis/coordination.k8s.io/v1/leases'],
    [collectionPath(LEASES, 'n'), '/apis/coordination.k8s.io/v1/namespaces/n/leases'],
    [objectPath(NODES, { name: 'system:node é?#' }), '/api/v1/nodes/system%3Anode%20%C3%A9%3F%23'],
  ])('%s', (path, expected) => {
    expect(path).toBe(expected);
  });

  test('a namespaced object needs its namespace, and others must have none', () => {
    expect(() => objectPath(PODS, { name: 'p' })).toThrow('Pod "p" is given without its namespace');
    expect(() => objectPath(NODES, { name: 'n', namespace: 'x' })).toThrow('Node lives in no namespace');
  });

  test.each(['', '.', '..', '/', '../secrets', 'a/b', '%2e%2e', 'a%2Fb'])(
    '%j is no name, no namespace, no subresource',
    (text) => {
      expect(() => objectPath(PODS, { name: text, namespace: 'n' })).toThrow(TypeError);
      expect(() => objectPath(PODS, { name: 'p', namespace: text })).toThrow(TypeError);
      expect(() => objectPath(PODS, { name: 'p', namespace: 'n' }, text)).toThrow(TypeError);
      expect(() => collectionPath(PODS, text)).toThrow(TypeError);
    },
  );

  test('whatever a name is, it is refused or stays one segment under its kind', () => {
    const nasty = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.constantFrom('.', '..', '/', '%2e', '%2F', 'a', '\\', '?', '#'), { maxLength: 6 })
        .map((x) => x.join('')),
    );
    fc.assert(
      fc.property(nasty, nasty, (name, namespace) => {
        let path: string;
        try {
          path = objectPath(PODS, { name, namespace });
        } catch (error) {
          // encodeURIComponent throws an URIError for half a surrogate pair.
          expect(error instanceof TypeError || error instanceof URIError).toBe(true);
          return;
        }
        const { pathname, search, hash } = new URL(`https://server${path}`);
        expect([search, hash]).toEqual(['', '']);
        expect(pathname.split('/').map(decodeURIComponent)).toEqual([
          '',
          'api',
          'v1',
          'namespaces',
          namespace,
          'pods',
          name,
        ]);
      }),
    );
  });
});

test('a query holds what has a value, encoded', () => {
  expect(queryString({ labelSelector: 'a=b,c', limit: 0, force: false, continue: undefined })).toBe(
    '?labelSelector=a%3Db%2Cc&limit=0&force=false',
  );
  expect(queryString({ limit: undefined })).toBe('');
});

test('an attempt is told with its object, as far as there is one', () => {
  expect(describeAttempt('get', PODS, { name: 'p', namespace: 'n' })).toBe('get pods n/p');
  expect(describeAttempt('list', PODS, { namespace: 'n' })).toBe('list pods n');
  expect(describeAttempt('list', PODS, {})).toBe('list pods');
});
