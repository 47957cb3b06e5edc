import type { ImageWeight } from './layout.ts';

/** For a terminal: what each image weighs, by name. */
export function sizeTable(weights: ReadonlyMap<string, ImageWeight>): string {
  const rows = [
    ['image', 'files', 'as pulled', 'digest'],
    ...[...weights].map(([name, { uncompressed, compressed, digest }]) => [
      name,
      megabytes(uncompressed),
      megabytes(compressed),
      digest,
    ]),
  ];
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(width(column)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
