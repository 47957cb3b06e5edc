/** `node test/e2e/bed/in-guest.ts BED NODE COMMAND`: runs a command on a node of a bed that KEEP=1 left up, from within its network. */
import { attachBed } from './bed.ts';

const [directory, name, command] = process.argv.slice(2);
if (directory === undefined || name === undefined || command === undefined) {
  process.stderr.write('usage: node test/e2e/bed/in-guest.ts BED NODE COMMAND\n');
  process.exitCode = 2;
} else {
  const bed = await attachBed(directory);
  const node = bed.nodes.find((node) => node.name === name);
  if (node === undefined)
    throw new Error(`there is no node ${name}; nodes are ${bed.nodes.map(({ name }) => name).join(', ')}`);
  const { code, output } = await node.exec(command);
  process.stdout.write(output);
  process.exitCode = code;
  await bed.admin.close();
}
