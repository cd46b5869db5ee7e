import type { Progress } from './drive.js';
import { progressText } from './figures.js';

/** Width of the bar, in characters. */
const BAR = 24;
/** Where there is no terminal, a line is written after so many seconds. */
const LINE_EVERY_S = 5;

/** Shows how a run goes: on a terminal by a bar that is written over, else by a line now and then. */
export class ProgressBar {
  readonly #out: NodeJS.WriteStream;
  #nextLine = LINE_EVERY_S;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
  }

  /** @param what what it is the progress of */
  show(progress: Progress, what?: string): void {
    const text = `${what === undefined ? '' : `${what}: `}${progressText(progress)}`;
    if (!this.#out.isTTY) {
      if (progress.at < this.#nextLine) return;
      this.#nextLine = progress.at + LINE_EVERY_S;
      this.#out.write(`${text}\n`);
      return;
    }
    const done = Math.round(Math.min(1, progress.at / progress.of) * BAR);
    const line = `[${'#'.repeat(done)}${'.'.repeat(BAR - done)}] ${text}`;
    // Back to the first column, and what is left of a longer line before is cleared.
    this.#out.write(`\r${line.slice(0, (this.#out.columns ?? 80) - 1)}\x1b[K`);
  }

  /** A line of its own: what goes on now. */
  say(text: string): void {
    this.end();
    this.#out.write(`${text}\n`);
  }

  /** Clears the bar. */
  end(): void {
    if (this.#out.isTTY) this.#out.write('\r\x1b[K');
    this.#nextLine = LINE_EVERY_S;
  }
}
