import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

const KEPT_OUTPUT_LINES = 20;
const MAX_LINE_LENGTH = 8192;
/** How long a dead process's output may stay open; a process that left the group can hold it. */
const OUTPUT_WAIT_MS = 1000;
/** How long a process may take to go after SIGKILL before the supervisor goes on without it. */
const KILL_WAIT_MS = 5000;

/** A program that the supervisor runs. */
export interface ProcessSpec {
  /** What the log calls it. */
  name: string;
  command: string;
  args: string[];
  cwd?: string;
  /** Added to the environment of this process. */
  env?: Record<string, string>;
  /** Resolves when the process serves. The signal is aborted once nobody waits for the answer any more. */
  ready: (signal: AbortSignal) => Promise<void>;
  /** Milliseconds from its start until it must be ready; default 10000. */
  readyTimeoutMs?: number;
  /** Milliseconds from the stop signal to SIGKILL; default 5000. */
  stopTimeoutMs?: number;
  /** Goes to the process itself, not to its group; default SIGTERM. */
  stopSignal?: NodeJS.Signals;
}

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

export type SupervisorErrorCode = 'ERR_PROCESS_EXITED' | 'ERR_PROCESS_NOT_READY' | 'ERR_SUPERVISOR_STOPPED';

/** Why a process did not come up. The message is one line. */
export class SupervisorError extends Error {
  override readonly name = 'SupervisorError';

  constructor(
    readonly code: SupervisorErrorCode,
    readonly processName: string,
    problem: string,
    /** The exit code; null if a signal ended it or it has not exited by itself. */
    readonly exitCode: number | null = null,
    /** The last lines that the process wrote, 20 at most. */
    readonly output: readonly string[] = [],
    options?: ErrorOptions,
  ) {
    super(`${processName} ${problem}`, options);
  }
}

/**
 * Runs the programs that make up the system, each in a process group of its own: starts them one by one,
 * restarts the ones that die, stops them in reverse order, and leaves none behind, even when this process is
 * killed with SIGKILL. Call `stopAll` after a failed `start` too: it keeps this process from ending.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #restart: RestartTimes;
  readonly #watchdog = new GroupWatchdog();
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
    await this.#watchdog.close();
  }

  /** One start: resolves when the process is ready, else kills it and throws. */
  async #launch(spec: ProcessSpec): Promise<RunningProcess> {
    if (this.#stopping.signal.aborted) throw stoppedError(spec);
    const process = new RunningProcess(spec, (line) => this.#options.onOutput(spec.name, line));
    this.#parts.set(spec, process);
    if (process.group !== undefined) {
      const { group } = process;
      this.#watchdog.add(group);
      void process.exited.then(() => this.#watchdog.remove(group));
    }
    const waiting = new AbortController();
    try {
      await Promise.race([
        becomeReady(spec, process, waiting.signal),
        process.exited.then((exit) => {
          throw new SupervisorError(
            'ERR_PROCESS_EXITED',
            spec.name,
            `${describeExit(exit)} before it was ready`,
            exit.code,
            process.lastLines,
          );
        }),
      ]);
      return process;
    } catch (error) {
      await process.kill();
      throw this.#stopping.signal.aborted ? stoppedError(spec) : error;
    } finally {
      waiting.abort();
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

interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Set when the program could not be started at all. */
  error?: Error;
}

/** One child process and the group that it leads. */
class RunningProcess {
  /** Resolves when the process is dead, the rest of its group was killed and its output was handed on. */
  readonly exited: Promise<Exit>;
  readonly group: number | undefined;
  readonly lastLines: string[] = [];
  readonly #child: ChildProcess;
  readonly #spec: ProcessSpec;

  constructor(spec: ProcessSpec, onLine: (line: string) => void) {
    this.#spec = spec;
    const [command, ...args] = dyingWithParent([spec.command, ...spec.args]);
    const child = spawn(command, args, {
      ...(spec.cwd !== undefined && { cwd: spec.cwd }),
      env: { ...process.env, ...spec.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    this.group = child.pid;
    const keepLine = (line: string) => {
      this.lastLines.push(line);
      if (this.lastLines.length > KEPT_OUTPUT_LINES) this.lastLines.shift();
      onLine(line);
    };
    splitLines(child.stdout, keepLine);
    splitLines(child.stderr, keepLine);
    this.exited = new Promise((resolve) => {
      child.on('error', (error) => {
        if (child.pid === undefined) resolve({ code: null, signal: null, error });
      });
      child.once('exit', (code, signal) => {
        // Kamailio's workers outlive a main process that was killed, and keep its ports.
        this.#killGroup();
        const closeOutput = setTimeout(() => {
          child.stdout.destroy();
          child.stderr.destroy();
        }, OUTPUT_WAIT_MS);
        child.once('close', () => {
          clearTimeout(closeOutput);
          resolve({ code, signal });
        });
      });
    });
  }

  /** Asks the process to end, kills its group if it does not in time; false if it is there even then. */
  async stop(): Promise<boolean> {
    this.#child.kill(this.#spec.stopSignal ?? 'SIGTERM');
    return (await within(this.exited, this.#spec.stopTimeoutMs ?? 5000)) || (await this.kill());
  }

  /** Kills the whole group; false if the process is there even then. */
  async kill(): Promise<boolean> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#killGroup();
    return within(this.exited, KILL_WAIT_MS);
  }

  #killGroup(): void {
    if (this.group !== undefined) killGroup(this.group);
  }
}

/**
 * A process that waits for the end of this one, however it comes, and then kills the groups that are left:
 * a parent-death signal reaches only the first process of a group, and Kamailio's workers stay without it.
 */
class GroupWatchdog {
  static readonly #script = `
    trap '' HUP INT TERM
    groups=
    while read -r line; do groups=$line; done
    for group in $groups; do kill -s KILL -- "-$group"; done`;

  readonly #groups = new Set<number>();
  #child: ChildProcess | undefined;

  add(group: number): void {
    this.#groups.add(group);
    this.#tell();
  }

  remove(group: number): void {
    this.#groups.delete(group);
    this.#tell();
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    await within(gone, KILL_WAIT_MS);
  }

  #tell(): void {
    this.#child ??= this.#spawn();
    this.#child.stdin?.write(`${[...this.#groups].join(' ')}\n`);
  }

  #spawn(): ChildProcess {
    const child = spawn('/bin/sh', ['-c', GroupWatchdog.#script], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    const forget = () => {
      this.#child = undefined;
    };
    child.once('exit', forget);
    child.on('error', forget);
    // A write to a watchdog that just died; the next change starts another.
    child.stdin.on('error', forget);
    return child;
  }
}

async function becomeReady(spec: ProcessSpec, process: RunningProcess, signal: AbortSignal): Promise<void> {
  const limitMs = spec.readyTimeoutMs ?? 10_000;
  const notReady = (problem: string, options?: ErrorOptions) =>
    new SupervisorError('ERR_PROCESS_NOT_READY', spec.name, problem, null, process.lastLines, options);
  const timeIsUp = delay(limitMs, undefined, { signal }).then(() => {
    throw notReady(`was not ready within ${limitMs} ms`);
  });
  try {
    // Called within a promise, so that a probe that throws at once fails like any other.
    await Promise.race([Promise.resolve(signal).then(spec.ready), timeIsUp]);
  } catch (error) {
    if (error instanceof SupervisorError) throw error;
    throw notReady(`did not become ready: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

function stoppedError(spec: ProcessSpec): SupervisorError {
  return new SupervisorError(
    'ERR_SUPERVISOR_STOPPED',
    spec.name,
    'was not started: everything is being stopped',
  );
}

function describeExit({ code, signal, error }: Exit): string {
  if (error) return `could not be started (${error.message})`;
  return signal ? `was ended by ${signal}` : `exited with code ${code}`;
}

/** Wraps a command so that it dies when this process does; as it is where util-linux is not installed. */
function dyingWithParent(command: [string, ...string[]]): [string, ...string[]] {
  const setpriv = findProgram('setpriv');
  return setpriv ? [setpriv, '--pdeathsig', 'KILL', '--', ...command] : command;
}

function findProgram(name: string): string | undefined {
  const candidates = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Nobody is left in the group.
  }
}

/** Hands a stream on line by line; a line over the limit comes in pieces so that nothing grows. */
function splitLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    for (; rest.length > MAX_LINE_LENGTH; rest = rest.slice(MAX_LINE_LENGTH)) {
      onLine(rest.slice(0, MAX_LINE_LENGTH));
    }
  });
  stream.on('close', () => {
    if (rest) onLine(rest);
  });
}

async function within(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const waiting = new AbortController();
  const timer = delay(limitMs, false, { signal: waiting.signal }).catch(() => false);
  try {
    return await Promise.race([promise.then(() => true), timer]);
  } finally {
    waiting.abort();
  }
}
