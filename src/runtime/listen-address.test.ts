import { expect, it } from 'vitest';
import { parseListenAddress } from './listen-address.ts';

it.each([
  [':8080', { port: 8080 }],
  [':0', { port: 0 }],
  ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
  ['[::1]:8080', { host: '::1', port: 8080 }],
  ['[::]:1', { host: '::', port: 1 }],
  ['localhost:65535', { host: 'localhost', port: 65_535 }],
  ['my-host.example:80', { host: 'my-host.example', port: 80 }],
  ['0', 'disabled'],
])('reads %s', (text, address) => {
  expect(parseListenAddress(text)).toEqual(address);
});

it.each([
  '',
  ':',
  '8080',
  'localhost',
  'localhost:',
  ':65536',
  ':-1',
  ':8o80',
  '::1:8080',
  '[::1]',
  '[]:80',
  '[127.0.0.1]:80',
  '256.0.0.1:80',
  '1.2.3:80',
  '-host:80',
  'host_:80',
  'a b:80',
  ':8080\n',
])('refuses %j', (text) => {
  expect(parseListenAddress(text)).toBeUndefined();
});
