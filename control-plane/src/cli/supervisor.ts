import { setTimeout as delay } from 'node:timers/promises';
import { describeExit, type ProcessSpec, RunningProcess, SupervisorError } from './process.js';

export { type ProcessSpec, SupervisorError } from './process.js';

/** When a part that died is started again. */
export interface RestartTimes {
  /** Pause before the first restart in milliseconds, doubled for each further one; default 100. */
  firstPauseMs: number;
  /** Longest pause in milliseconds; default 5000. */
  longestPauseMs: number;
  /** A part that lived this many milliseconds begins again with the first pause; default 30000. */
  resetAfterMs: number;
}

export interface SupervisorOptions {
  /** Takes one line about what the supervisor does. */
  log: (line: string) => void;
  /** Takes each line that a process writes to stdout or stderr, without its newline. */
  onOutput: (name: string, line: string) => void;
  restart?: Partial<RestartTimes>;
}

/**
 * Runs the programs that make up the system, each in a process group of its own: starts them one by one,
 * restarts the ones that die, stops them in reverse order, and leaves none behind, even when this process is
 * killed with SIGKILL.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #restart: RestartTimes;
  /** The latest process of each part, in the order of their first start. */
  readonly #parts = new Map<ProcessSpec, RunningProcess>();
  readonly #stopping = new AbortController();
  #stopped: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#restart = { firstPauseMs: 100, longestPauseMs: 5000, resetAfterMs: 30_000, ...options.restart };
  }

  /**
   * Starts a process and resolves when it is ready; from then on it is restarted whenever it dies.
   *
   * @throws {SupervisorError} `ERR_PROCESS_EXITED` when it exits before it is ready,
   * `ERR_PROCESS_NOT_READY` when its time is up or `ready` fails (the process is killed then),
   * `ERR_SUPERVISOR_STOPPED` when `stopAll` was called.
   */
  async start(spec: ProcessSpec): Promise<void> {
    try {
      const process = await this.#launch(spec);
      void this.#keepRunning(spec, process);
    } catch (error) {
      this.#parts.delete(spec);
      throw error;
    }
  }

  /** Sends a signal to a part that was started, if it runs. */
  signal(spec: ProcessSpec, signal: NodeJS.Signals): void {
    this.#parts.get(spec)?.signal(signal);
  }

  /** Stops every process, the last started first, and resolves when all are gone. Nothing can be started after. */
  stopAll(): Promise<void> {
    this.#stopped ??= this.#stopInReverse();
    return this.#stopped;
  }

  async #stopInReverse(): Promise<void> {
    this.#stopping.abort();
    for (const [spec, process] of [...this.#parts].reverse()) {
      if (!(await process.stop())) this.#options.log(`${spec.name} is still there after SIGKILL`);
    }
  }

  /** One start: resolves when the process is ready, else kills it and throws. */
  async #launch(spec: ProcessSpec): Promise<RunningProcess> {
    if (this.#stopping.signal.aborted) throw stoppedError(spec);
    const process = new RunningProcess(spec, (line) => this.#options.onOutput(spec.name, line));
    this.#parts.set(spec, process);
    try {
      await process.ready();
      return process;
    } catch (error) {
      throw this.#stopping.signal.aborted ? stoppedError(spec) : error;
    }
  }

  async #keepRunning(spec: ProcessSpec, first: RunningProcess): Promise<void> {
    const { firstPauseMs, longestPauseMs, resetAfterMs } = this.#restart;
    const { signal } = this.#stopping;
    let running: RunningProcess | undefined = first;
    let pauseMs = firstPauseMs;
    let problem = '';
    for (let restart = 1; ; restart++) {
      if (running) {
        const readyAt = performance.now();
        problem = `${spec.name} ${describeExit(await running.exited)}`;
        if (performance.now() - readyAt >= resetAfterMs) pauseMs = firstPauseMs;
      }
      if (signal.aborted) return;
      this.#options.log(`${problem}; restart ${restart} in ${pauseMs} ms`);
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      running = await this.#launch(spec).catch((error: Error) => {
        problem = error.message;
        return undefined;
      });
    }
  }
}

function stoppedError(spec: ProcessSpec): SupervisorError {
  return new SupervisorError(
    'ERR_SUPERVISOR_STOPPED',
    spec.name,
    'was not started: everything is being stopped',
  );
}
