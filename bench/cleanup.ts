import type { TestLike } from '../test/harness/stack.js';

/** Takes the place of a tap test for the harness: keeps what is to be stopped, and stops it. */
export class Cleanup implements TestLike {
  readonly #steps: (() => unknown)[] = [];

  teardown(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** What a part logs. */
  comment(...args: unknown[]): void {
    process.stderr.write(`${args.join(' ')}\n`);
  }

  /** Stops everything, the last thing first. */
  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) await step();
  }
}
