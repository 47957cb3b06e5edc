import { expect, test } from 'vitest';

import { parseModuleEvents } from './guest.ts';

/** As Linux 6.1 prints it; kmm_hello_2 is another module. */
const TRACE = `# tracer: nop
#
# entries-in-buffer/entries-written: 5/5   #P:2
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
        modprobe-62      [001] .....     9.402713: module_load: virtio_net
        modprobe-911     [000] .....    88.120134: module_load: kmm_hello OE
        modprobe-935     [000] .....    89.300471: module_load: kmm_hello_2 OE
        modprobe-1201    [001] .....   120.914820: module_free: kmm_hello
        modprobe-1260    [001] .....   131.002938: module_load: kmm_hello OE
`;

test('loads and unloads of a module come out of the kernel’s trace in order, and those of others do not', () => {
  expect(parseModuleEvents(TRACE, 'kmm_hello')).toEqual(['load', 'free', 'load']);
  expect(parseModuleEvents(TRACE, 'overlay')).toEqual([]);
});
