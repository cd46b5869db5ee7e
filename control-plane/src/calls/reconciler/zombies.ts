import { setTimeout as delay } from 'node:timers/promises';
import type { DialogDetails } from '../../kamailio/dialog-table.js';
import { KamailioError } from '../../kamailio/errors.js';
import type { KamailioNode } from '../../kamailio/node.js';
import type { Call } from '../call.js';
import { timelineOnce } from '../record.js';
import type { CallStore } from '../store.js';
import type { ZombieObserver, ZombieOutcome } from '../zombies.js';
import type { FindingAction, Findings } from './findings.js';

const POLL_MS = 100;
const ACTIONS: Record<ZombieOutcome, FindingAction> = {
  ended: 'healed',
  failed: 'failed',
  observed: 'observed',
};
const REASON = 'SIP;cause=200;text="the call had ended"';

/** A dialog whose call has ended. */
export interface Zombie {
  node: KamailioNode;
  dialog: DialogDetails;
  call: Call;
  detail: string;
}

export interface ZombiesOptions {
  store: CallStore;
  /** Whether they are ended, only told of, or neither. */
  mode: () => 'off' | 'observe' | 'on';
  /** Longest wait for the replies to the BYEs, in ms. */
  timeoutMs: number;
  observer: ZombieObserver;
}

/** Ends dialogs that outlive their call's record, and says what the wire said. */
export class Zombies {
  readonly #o: ZombiesOptions;

  constructor(options: ZombiesOptions) {
    this.#o = options;
  }

  async end(zombies: readonly Zombie[], findings: Findings, signal: AbortSignal): Promise<void> {
    if (zombies.length === 0) return;
    await this.#note(zombies);
    const mode = this.#o.mode();
    const ended = mode === 'on' ? await this.#endOnTheWire(zombies, signal) : new Set<string>();
    for (const { node, call, detail } of zombies) {
      const outcome = mode === 'on' ? (ended.has(call.id) ? 'ended' : 'failed') : 'observed';
      if (mode !== 'off') this.#o.observer.zombieEnded('here', outcome);
      const action = mode === 'off' ? 'reported' : ACTIONS[outcome];
      findings.add({ kind: 'zombie', call_id: call.id, node: node.name, action, detail });
    }
  }

  /** Each is told of once, however many runs find it. */
  async #note(zombies: readonly Zombie[]): Promise<void> {
    const now = Date.now();
    const merges = zombies.map(({ call, detail }) => ({
      id: call.id,
      atMs: now,
      fields: timelineOnce('zombie_found', now, { detail }),
    }));
    for (const fresh of await this.#o.store.merge(merges)) {
      if (fresh?.length) this.#o.observer.zombieFound('here', 'reconciler');
    }
  }

  /** @returns the ids of the calls whose both legs have answered a BYE */
  async #endOnTheWire(zombies: readonly Zombie[], signal: AbortSignal): Promise<Set<string>> {
    const waiting: Call[] = [];
    for (const { node, dialog, call } of zombies) {
      signal.throwIfAborted();
      const { sip_call_id, caller, callee } = dialog;
      try {
        const key = { sip_call_id, from_tag: caller.tag, to_tag: callee.tag };
        if ((await node.hangUp(key, 'reaper', REASON)) !== undefined) waiting.push(call);
      } catch (error) {
        if (!(error instanceof KamailioError)) throw error;
        // It may have acted before it failed: only the wire can tell.
        waiting.push(call);
      }
    }
    return this.#answered(waiting, signal);
  }

  async #answered(calls: readonly Call[], signal: AbortSignal): Promise<Set<string>> {
    const waiting = new Map(calls.map((call) => [call.id, byesAnswered(call).length]));
    const answered = new Set<string>();
    const until = Date.now() + this.#o.timeoutMs;
    while (waiting.size > 0 && Date.now() < until) {
      await delay(POLL_MS, undefined, { signal });
      for (const call of await this.#o.store.getAll([...waiting.keys()])) {
        if (call === undefined) continue;
        const legs = new Set(byesAnswered(call).slice(waiting.get(call.id)));
        if (legs.size < 2) continue;
        waiting.delete(call.id);
        answered.add(call.id);
      }
    }
    return answered;
  }
}

/** The leg of each BYE that was answered, in order: a hangup before may have had its answers too. */
function byesAnswered(call: Call): unknown[] {
  return call.timeline.filter(({ type }) => type === 'bye_answered').map(({ leg }) => leg);
}
