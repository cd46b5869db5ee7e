import type { RecordChange } from '../calls/due/plan.js';
import type { CallStore } from '../calls/store.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';

export interface ExpectedCallsOptions {
  nodes: ReadonlyMap<string, Pick<RoutingTables, 'setExpected' | 'clearExpected'>>;
  store: Pick<CallStore, 'getAll'>;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** Tells the nodes which ids the INVITEs of calls bear that Retell was asked for: each of them takes one once. */
export class ExpectedCalls {
  readonly #o: ExpectedCallsOptions;

  constructor(options: ExpectedCallsOptions) {
    this.#o = options;
  }

  /** Tells every node. At one that does not answer the call would get an id of its own. @returns how many know it */
  async tell(id: string): Promise<number> {
    const told = [...this.#o.nodes].map(async ([node, tables]) => {
      try {
        await tables.setExpected(id);
        return 1;
      } catch (err) {
        this.#o.warn({ err, node, call_id: id }, 'a node was not told of a call that is asked for');
        return 0;
      }
    });
    return (await Promise.all(told)).reduce<number>((sum, one) => sum + one, 0);
  }

  /**
   * Has every node forget the id, so that no INVITE takes it any more.
   *
   * @param except the node whose INVITE has taken it
   * @throws KamailioError where one does not answer, once all others have
   */
  async forget(id: string, except?: string): Promise<void> {
    const nodes = [...this.#o.nodes].filter(([node]) => node !== except);
    const results = await Promise.allSettled(nodes.map(([, tables]) => tables.clearExpected(id)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /**
   * What follows from INVITEs: an id that one has taken is forgotten by the other nodes too. Events do not wait for
   * that, and where it fails the id is forgotten in time.
   *
   * @throws where Redis does not answer
   */
  async after(changes: readonly RecordChange[]): Promise<void> {
    if (this.#o.nodes.size < 2) return;
    const invites = changes.filter(({ event }) => event.type === 'invite' && event.direction === 'outbound');
    if (invites.length === 0) return;
    for (const call of await this.#o.store.getAll(invites.map(({ id }) => id))) {
      if (call?.requested_by === undefined) continue;
      this.forget(call.id, call.node).catch((err) =>
        this.#o.warn({ err, call_id: call.id }, 'a node still expects a call that has come'),
      );
    }
  }
}
