import { LOCKED_IMAGES, referenceOf } from './image-lock.ts';
import { mirrorScript } from './image-mirror.ts';
import { readImagesCommandLine } from './images-options.ts';
import { VERSION } from './version.ts';

/** Runs `kmm images` and leaves its outcome in process.exitCode. */
export function runImages(argv: readonly string[]): void {
  const line = readImagesCommandLine(argv);
  switch (line.kind) {
    case 'help':
      process.stdout.write(line.text);
      return;
    case 'refused':
      for (const error of line.errors) process.stderr.write(`kmm images: ${error}\n`);
      process.exitCode = 1;
      return;
    case 'mirror':
      process.stdout.write(mirrorScript(LOCKED_IMAGES, line.target, VERSION));
      return;
    case 'list':
      process.stdout.write(line.output === 'json' ? asJson() : asText());
  }
}

function asJson(): string {
  const list = LOCKED_IMAGES.map((image) => ({ ...image, reference: referenceOf(image) }));
  return `${JSON.stringify(list, null, 2)}\n`;
}

function asText(): string {
  const width = (texts: readonly string[]): number => Math.max(...texts.map(({ length }) => length));
  const names = width(LOCKED_IMAGES.map(({ name }) => name));
  const references = width(LOCKED_IMAGES.map(referenceOf));
  return LOCKED_IMAGES.map(
    (image) => `${image.name.padEnd(names)}  ${referenceOf(image).padEnd(references)}  ${image.use}\n`,
  ).join('');
}
