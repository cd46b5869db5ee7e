import { createHash } from 'node:crypto';
import type { Config } from '../config/schema.js';

/** A gateway of Retell or of a carrier. */
export interface Gateway {
  uri: string;
  weight: number;
  priority: number;
  /** `retell`, or the carrier's name */
  owner: string;
  /** whether it is asked with OPTIONS */
  probe: boolean;
}

/** Dispatcher sets of gateways, and the order in which a call tries them. */
export interface GatewaySets {
  /** Gateways by the number of their set. */
  sets: Map<number, Gateway[]>;
  /** Rules of `ds_select_routes` for calls to Retell. */
  retell: string;
  /** Rules for outbound calls by the prefix of their destination. */
  prefixes: Map<string, string>;
}

/** Dispatcher's algorithm that shares calls by weight. */
const BY_WEIGHT = 9;

/**
 * Retell's gateways make one set for each priority. Outbound, the gateways of all carriers that take a prefix
 * do; those of shorter prefixes follow, so that a call that no carrier of its longest prefix takes is
 * not lost. The same group of gateways is one set, whatever prefixes lead to it.
 */
export function gatewaySets(config: Config): GatewaySets {
  const sets = new Map<number, Gateway[]>();
  const setOf = (group: Gateway[]): number => {
    const key = group.map(({ owner, uri }) => `${owner} ${uri}`).join('\n');
    const number = numberOf(key);
    sets.set(number, group);
    return number;
  };
  const rules = (gateways: Gateway[]): string[] =>
    byPriority(gateways).map((group) => `${setOf(group)}=${BY_WEIGHT}`);

  const retell = rules(
    config.retell.gateways.map((gateway) => ({ ...gateway, owner: 'retell', probe: true })),
  );
  const carriers = config.carriers.map((carrier) => ({
    prefixes: new Set(carrier.prefixes),
    gateways: carrier.gateways.map((gateway) => ({ ...gateway, owner: carrier.name, probe: carrier.probe })),
  }));
  const all = new Set(config.carriers.flatMap(({ prefixes }) => prefixes));
  const prefixes = [...all].map((prefix): [string, string] => {
    const tried = new Set<unknown>();
    const order: string[] = [];
    for (let length = prefix.length; length > 0; length--) {
      const taking = carriers.filter(
        (carrier) => carrier.prefixes.has(prefix.slice(0, length)) && !tried.has(carrier),
      );
      for (const carrier of taking) tried.add(carrier);
      order.push(...rules(taking.flatMap(({ gateways }) => gateways)));
    }
    return [prefix, order.join(';')];
  });
  return { sets, retell: retell.join(';'), prefixes: new Map(prefixes) };
}

/**
 * The number of a set follows from its gateways alone: while a reload is half done, a route that is still the
 * old one leads to the gateways that it always led to, or nowhere.
 */
function numberOf(key: string): number {
  // Kamailio's whole numbers are positive ones of 31 bits here.
  return 1 + (createHash('sha256').update(key).digest().readUInt32BE() % 2_000_000_000);
}

function byPriority(gateways: Gateway[]): Gateway[][] {
  const groups = new Map<number, Gateway[]>();
  for (const gateway of gateways) {
    groups.set(gateway.priority, [...(groups.get(gateway.priority) ?? []), gateway]);
  }
  return [...groups].sort(([a], [b]) => a - b).map(([, group]) => group);
}
