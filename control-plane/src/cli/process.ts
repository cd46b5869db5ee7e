import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { GroupWatchdog } from './group-watchdog.js';
import { move } from './precedence.js';

const KEPT_OUTPUT_LINES = 20;
const MAX_LINE_LENGTH = 8192;
/** How long a dead process's output may stay open; a process that left the group can hold it. */
const OUTPUT_WAIT_MS = 1000;
/** How long a process may take to go after SIGKILL before the supervisor goes on without it. */
export const KILL_WAIT_MS = 5000;

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
  /** Milliseconds from its start until it must be ready; default 30000. */
  readyTimeoutMs?: number;
  /** Milliseconds from the stop signal to SIGKILL; default 5000. */
  stopTimeoutMs?: number;
  /** Goes to the process itself, not to its group; default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** In relation to this process (precedence.ts); default 0. */
  niceness?: number;
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

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Set when the program could not be started at all. */
  error?: Error;
}

const watchdog = new GroupWatchdog();

/** One child process and the group that it leads. */
export class RunningProcess {
  /** Resolves when the process is dead, the rest of its group was killed and its output was handed on. */
  readonly exited: Promise<Exit>;
  readonly group: number | undefined;
  readonly lastLines: string[] = [];
  readonly #child: ChildProcess;
  readonly #spec: ProcessSpec;

  constructor(spec: ProcessSpec, onLine: (line: string) => void) {
    this.#spec = spec;
    const { command, isLeader } = leadingGroup(dyingWithParent([spec.command, ...spec.args]));
    const [program, ...args] = command;
    const child = spawn(program, args, {
      ...(spec.cwd !== undefined && { cwd: spec.cwd }),
      // Perl would warn of a locale that is not installed.
      env: { ...process.env, PERL_BADLANG: '0', ...spec.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: !isLeader,
    });
    this.#child = child;
    this.group = child.pid;
    if (child.pid !== undefined) {
      watchdog.add(child.pid);
      if (spec.niceness !== undefined) move(child.pid, spec.niceness);
    }
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
          if (child.pid !== undefined) watchdog.remove(child.pid);
          resolve({ code, signal });
        });
      });
    });
  }

  /**
   * Resolves when the process serves; kills it where it does not in time.
   *
   * @throws {SupervisorError} `ERR_PROCESS_EXITED` when it exits first, `ERR_PROCESS_NOT_READY` when its time
   * is up or its `ready` fails.
   */
  async ready(): Promise<void> {
    const waiting = new AbortController();
    try {
      await Promise.race([
        becomeReady(this.#spec, this, waiting.signal),
        this.exited.then((exit) => {
          throw new SupervisorError(
            'ERR_PROCESS_EXITED',
            this.#spec.name,
            `${describeExit(exit)} before it was ready`,
            exit.code,
            this.lastLines,
          );
        }),
      ]);
    } catch (error) {
      await this.kill();
      throw error;
    } finally {
      waiting.abort();
    }
  }

  /** Sends a signal to the process alone, not to its group. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks the process to end, kills its group if it does not in time; false if it is there even then. */
  async stop(): Promise<boolean> {
    this.#child.kill(this.#spec.stopSignal ?? 'SIGTERM');
    return (await within(this.exited, this.#spec.stopTimeoutMs ?? 5000)) || (await this.kill());
  }

  /** Kills the whole group; false if the process is there even then. */
  async kill(): Promise<boolean> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#killGroup();
      // It may not lead its group yet.
      this.#child.kill('SIGKILL');
    }
    return within(this.exited, KILL_WAIT_MS);
  }

  #killGroup(): void {
    if (this.group !== undefined) killGroup(this.group);
  }
}

async function becomeReady(spec: ProcessSpec, process: RunningProcess, signal: AbortSignal): Promise<void> {
  const limitMs = spec.readyTimeoutMs ?? 30_000;
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

export function describeExit({ code, signal, error }: Exit): string {
  if (error) return `could not be started (${error.message})`;
  return signal ? `was ended by ${signal}` : `exited with code ${code}`;
}

/** Wraps a command so that it dies when this process does; as it is where util-linux is not installed. */
function dyingWithParent(command: [string, ...string[]]): [string, ...string[]] {
  const setpriv = findProgram('setpriv');
  return setpriv ? [setpriv, '--pdeathsig', 'KILL', '--', ...command] : command;
}

/** Exits as a shell does where it does not find the command. */
const LEAD_GROUP = 'setpgrp; exec { $ARGV[0] } @ARGV; print STDERR "$ARGV[0]: $!\\n"; exit 127';

/**
 * Wraps a command so that it leads a process group within our session, which Node cannot do: its `detached` begins a
 * session. Linux shares CPUs out among sessions first where they are grouped (sched(7), "The autogroup feature"), and
 * then who is to go first waits for tenths of a second at times. Without Perl it has to be a session.
 */
function leadingGroup(command: [string, ...string[]]): { command: [string, ...string[]]; isLeader: boolean } {
  const perl = findProgram('perl');
  return perl
    ? { command: [perl, '-e', LEAD_GROUP, '--', ...command], isLeader: true }
    : { command, isLeader: false };
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

/** Whether the promise is fulfilled within the time, in ms. */
export async function within(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const waiting = new AbortController();
  const timer = delay(limitMs, false, { signal: waiting.signal }).catch(() => false);
  try {
    return await Promise.race([promise.then(() => true), timer]);
  } finally {
    waiting.abort();
  }
}
