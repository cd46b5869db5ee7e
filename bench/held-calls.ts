import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { TestLike } from '../test/harness/stack.js';

/** One side of a call that is held until its BYE. */
export interface HeldLeg {
  /** When the first came, on the clock of clock.ts. */
  byeAt?: number;
  /** Those that came, repetitions left out. */
  byes: number;
  /** Those among them that were built from the call's record. */
  fromRecord: number;
}

export interface HeldCall {
  /** The proxy's id of the call. */
  id: string;
  caller: HeldLeg;
  callee: HeldLeg;
}

export interface DialCommand {
  /** How many calls, in place of those of before. */
  count: number;
  /** Calls a second. */
  rate: number;
  host: string;
  port: number;
  number: string;
  /** Whether they are left ringing, in place of being answered. Default false. */
  ringing?: boolean;
}

/** Calls of a scripted carrier that a scripted Retell answers, and that both hold until their BYEs. */
export class HeldCalls {
  readonly carrierPort: number;
  readonly retellPort: number;
  readonly #worker: Worker;

  private constructor(worker: Worker, ports: { carrierPort: number; retellPort: number }) {
    this.#worker = worker;
    this.carrierPort = ports.carrierPort;
    this.retellPort = ports.retellPort;
  }

  static async start(t: TestLike): Promise<HeldCalls> {
    const worker = new Worker(new URL('./held-calls-worker.js', import.meta.url));
    t.teardown(() => worker.terminate());
    const [ports] = (await once(worker, 'message')) as [{ carrierPort: number; retellPort: number }];
    return new HeldCalls(worker, ports);
  }

  /** Resolves once all calls are up, or ring. @throws Error where one fails */
  async dial(command: DialCommand): Promise<void> {
    this.#worker.postMessage(command);
    const [{ failure }] = (await once(this.#worker, 'message')) as [{ failure?: string }];
    if (failure !== undefined) throw new Error(`calls did not come up: ${failure}`);
  }

  /** The calls as their sides see them now. */
  async calls(): Promise<HeldCall[]> {
    this.#worker.postMessage('calls');
    const [calls] = (await once(this.#worker, 'message')) as [HeldCall[]];
    return calls;
  }
}

/** How many calls one side still has up while the other got its BYE. */
export function oneSided(calls: readonly HeldCall[]): number {
  return calls.filter(({ caller, callee }) => caller.byes > 0 !== callee.byes > 0).length;
}

export function byesFromRecord(calls: readonly HeldCall[]): number {
  return calls.reduce((sum, { caller, callee }) => sum + caller.fromRecord + callee.fromRecord, 0);
}

/** Both sides' BYEs that came more than once, as requests of their own. */
export function byesTwice(calls: readonly HeldCall[]): number {
  return calls.reduce(
    (sum, { caller, callee }) => sum + Math.max(0, caller.byes - 1) + Math.max(0, callee.byes - 1),
    0,
  );
}
