import type { Config } from '../config/schema.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';

/** A limit of calls at once, and how much of it is used. */
export interface LimitUse {
  limit: 'overall' | 'carrier';
  /** For `carrier` only. */
  carrier?: string;
  max: number;
  /** undefined where a node did not answer in time */
  used: number | undefined;
}

/** Longest time for counting the calls of one node, in ms: with thousands up, each count takes milliseconds. */
const COUNT_DEADLINE_MS = 3000;

/** The limits of calls at once that are configured, over all nodes. Numbers' are left out: there may be 100,000. */
export async function limitUse(
  { calls, carriers }: Config,
  nodes: ReadonlyMap<string, RoutingTables>,
): Promise<LimitUse[]> {
  const overall = calls.limits?.concurrent_calls;
  const limited = carriers.flatMap(({ name, limits }) =>
    limits?.concurrent_calls === undefined ? [] : [{ name, max: limits.concurrent_calls }],
  );
  const names = limited.map(({ name }) => name);
  const counts = await Promise.all(
    [...nodes.values()].map((node) => countsOf(node, overall !== undefined, names).catch(() => undefined)),
  );
  const used = (key: string): number | undefined => {
    let total = 0;
    for (const node of counts) {
      const count = node?.get(key);
      if (count === undefined) return undefined;
      total += count;
    }
    return total;
  };
  return [
    ...(overall === undefined ? [] : [{ limit: 'overall' as const, max: overall, used: used(ALL) }]),
    ...limited.map(({ name, max }) => ({ limit: 'carrier' as const, carrier: name, max, used: used(name) })),
  ];
}

/** Key of the count over all carriers: no carrier has this name. */
const ALL = '*';

/** @throws KamailioError */
async function countsOf(
  node: RoutingTables,
  overall: boolean,
  carriers: readonly string[],
): Promise<Map<string, number>> {
  const all = overall ? await node.calls() : 0;
  return (await node.profileSizes('carrier', carriers, COUNT_DEADLINE_MS)).set(ALL, all);
}
