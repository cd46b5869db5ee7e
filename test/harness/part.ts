import { type ProcessSpec, RunningProcess } from '../../control-plane/src/cli/process.js';
import type { TestLike } from './stack.js';

/** One program of a stack that a test can stop, kill and start again. */
export class Part {
  readonly #spec: ProcessSpec;
  readonly #onLine: (line: string) => void;
  #process: RunningProcess | undefined;

  constructor(spec: ProcessSpec, onLine: (line: string) => void) {
    this.#spec = spec;
    this.#onLine = onLine;
  }

  /** Process id of the running program. */
  get pid(): number | undefined {
    return this.#process?.group;
  }

  /** Starts it and resolves when it serves. @throws SupervisorError */
  async start(): Promise<void> {
    this.#process = new RunningProcess(this.#spec, this.#onLine);
    await this.#process.ready();
  }

  /** Ends it the way an operator would. */
  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  /** SIGKILL to the program and all that it started. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#process = undefined;
  }
}

/** Starts a part and stops it when the test ends. */
export async function startPart(t: TestLike, part: Part): Promise<Part> {
  t.teardown(() => part.stop());
  await part.start();
  return part;
}
