/** Where the story is told: a terminal with a live view under it, or plain lines. */
import { colouredText, fitLine, type Line, plainText, widthOf, wrapLine } from './paint.ts';
import type { Room } from './view.ts';

/** The part of process.stdout that is used. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** Lines to show under the story now, at most as large as the room. */
export type LiveView = (room: Room) => readonly Line[];

export interface Screen {
  /** Says a line for good. */
  print(line: Line): void;
  /** Shows a view that changes in place, until another one or undefined; on a screen of plain lines this does nothing. */
  show(view: LiveView | undefined): void;
  /** The view's world has changed. */
  refresh(): void;
  /** Whether there is a live view: where there is none, the story shows tables between its lines. */
  readonly live: boolean;
  /** Takes the view away and leaves the cursor on a line of its own. */
  close(): void;
}

/** No escape code is written unless a person looks at a terminal that understands them and has not asked for none. */
export function isPlain(output: Output, env: Readonly<Record<string, string | undefined>>): boolean {
  return output.isTTY !== true || Boolean(env['NO_COLOR']) || Boolean(env['CI']) || env['TERM'] === 'dumb';
}

export class PlainScreen implements Screen {
  readonly #output: Output;
  readonly live = false;

  constructor(output: Output) {
    this.#output = output;
  }

  print(line: Line): void {
    this.#output.write(`${plainText(line)}\n`);
  }

  show(): void {}
  refresh(): void {}
  close(): void {}
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_TO_END = '\u001b[J';
/** A view at least this often, so that its seconds count. */
const REFRESH_MS = 200;
/** Several changes within this time are one redraw. */
const GATHER_MS = 40;
/** Lines of the story that stay in sight above the view. */
const STORY_ROWS = 5;

export class LiveScreen implements Screen {
  readonly #output: Output;
  readonly live = true;
  #view: LiveView | undefined;
  /** The view's lines as they stand on the terminal now; the cursor is at the end of the last one. */
  #drawn: readonly Line[] = [];
  #ticker: NodeJS.Timeout | undefined;
  #pending: NodeJS.Timeout | undefined;
  readonly #resized = (): void => {
    this.#output.write(this.#erasing());
    this.#drawn = [];
    this.#draw();
  };

  constructor(output: Output) {
    this.#output = output;
    output.on('resize', this.#resized);
  }

  print(line: Line): void {
    const text = wrapLine(line, this.#columns).map(colouredText).join('\n');
    this.#output.write(`${this.#erasing()}${text}\n`);
    this.#drawn = [];
    this.#draw();
  }

  show(view: LiveView | undefined): void {
    this.#view = view;
    clearInterval(this.#ticker);
    if (view !== undefined) {
      this.#ticker = setInterval(() => this.#draw(), REFRESH_MS);
      this.#ticker.unref();
    }
    this.#draw();
  }

  refresh(): void {
    if (this.#view === undefined) return;
    this.#pending ??= setTimeout(() => {
      this.#pending = undefined;
      this.#draw();
    }, GATHER_MS);
  }

  close(): void {
    clearTimeout(this.#pending);
    this.show(undefined);
    this.#output.off('resize', this.#resized);
    this.#output.write(SHOW_CURSOR);
  }

  /** The last column stays free: a terminal that wraps there would make two lines of one. */
  get #columns(): number {
    return Math.max(1, (this.#output.columns ?? 80) - 1);
  }

  #draw(): void {
    const { rows = 24 } = this.#output;
    const room = { columns: this.#columns, rows: Math.max(1, Math.min(rows - 1, Math.max(8, rows - STORY_ROWS))) };
    const lines = (this.#view?.(room) ?? []).slice(0, room.rows).map((line) => fitLine(line, room.columns));
    const text = lines.map(colouredText).join('\n');
    if (text === this.#drawn.map(colouredText).join('\n')) return;
    this.#output.write(`${HIDE_CURSOR}${this.#erasing()}${text}`);
    this.#drawn = lines;
  }

  /** A terminal that became narrower has wrapped what was drawn: its rows are counted with the present width. */
  #erasing(): string {
    if (this.#drawn.length === 0) return '';
    const { columns = 80 } = this.#output;
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)), 0);
    return `\r${rows > 1 ? `\u001b[${rows - 1}A` : ''}${CLEAR_TO_END}`;
  }
}
