import type { Source } from './options.ts';

/** One option as it counts. None of them holds a secret: credentials are in files, and a file stands here by its path. */
export interface EffectiveOption extends Source {
  /** With its dashes. */
  readonly flag: string;
  /** As a user would write it; undefined where the option is left out and has no default. */
  readonly value: string | undefined;
}

/** What `kmm manager --print-config` prints: for people a line each, for programs an array in the same order. */
export function formatOptions(options: readonly EffectiveOption[], format: 'text' | 'json'): string {
  const shown = options.filter(({ flag }) => flag !== '--print-config');
  if (format === 'json') {
    const rows = shown.map(({ flag, value, from, name }) => ({ flag, value: value ?? null, from, name }));
    return `${JSON.stringify(rows, undefined, 2)}\n`;
  }
  const settings = shown.map(({ flag, value }) => `${flag}${value === undefined ? '' : `=${value}`}`);
  const width = Math.max(...settings.map(({ length }) => length));
  return shown.map((option, index) => `${(settings[index] ?? '').padEnd(width)}  # ${origin(option)}\n`).join('');
}

function origin({ from, name, value }: EffectiveOption): string {
  switch (from) {
    case 'flag':
      return 'flag';
    case 'env':
      return name;
    case 'service-account':
      return name;
    case 'default':
      return value === undefined ? 'not set' : 'default';
  }
}
