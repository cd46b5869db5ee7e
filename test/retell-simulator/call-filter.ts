import type { CallObject } from './calls.js';

/** One condition of list-calls (retell.md 2.4). */
export interface Condition {
  readonly type?: string;
  readonly op?: string;
  readonly value?: unknown;
  readonly key?: string;
}

export type FilterCriteria = Record<string, unknown>;

/** Criteria that look into an object of the call by `key`. */
const KEYED: Readonly<Record<string, keyof CallObject>> = {
  metadata: 'metadata',
  dynamic_variables: 'retell_llm_dynamic_variables',
};

/** The states that can be asked for: `registered` is none of them. */
const STATUSES: ReadonlySet<unknown> = new Set(['not_connected', 'ongoing', 'ended', 'error']);

/** @throws Error for a state that Retell does not filter by */
export function checkCriteria({ call_status }: FilterCriteria): void {
  const asked = (call_status as Condition | undefined)?.value ?? [];
  const unknown = (asked as unknown[]).filter((status) => !STATUSES.has(status));
  if (unknown.length > 0) throw new Error(`call_status cannot be ${unknown.join(', ')}`);
}

/**
 * Whether a call fulfils all criteria.
 * @throws Error for an operator that Retell does not know.
 */
export function matchesCriteria(call: CallObject, criteria: FilterCriteria): boolean {
  return Object.entries(criteria).every(([name, condition]) => {
    if (name === 'agent') {
      return (condition as { agent_id: string }[]).some((agent) => agent.agent_id === call.agent_id);
    }
    const keyed = KEYED[name];
    if (!keyed) return matches((call as unknown as Record<string, unknown>)[name], condition as Condition);
    const values = (call[keyed] ?? {}) as Record<string, unknown>;
    return (condition as Condition[]).every((each) => matches(values[each.key ?? ''], each));
  });
}

function matches(actual: unknown, { op = '', value }: Condition): boolean {
  const test = OPERATORS[op];
  if (!test) throw new Error(`unknown filter operator: ${op}`);
  return test(actual, value);
}

const text = (value: unknown) => (value === undefined ? '' : String(value));

const OPERATORS: Readonly<Record<string, (actual: unknown, value: unknown) => boolean>> = {
  in: (actual, value) => (value as unknown[]).includes(actual),
  eq: (actual, value) => actual === value,
  ne: (actual, value) => actual !== value,
  sw: (actual, value) => text(actual).startsWith(text(value)),
  ew: (actual, value) => text(actual).endsWith(text(value)),
  co: (actual, value) => text(actual).includes(text(value)),
  gt: (actual, value) => Number(actual) > Number(value),
  ge: (actual, value) => Number(actual) >= Number(value),
  lt: (actual, value) => Number(actual) < Number(value),
  le: (actual, value) => Number(actual) <= Number(value),
  bt: (actual, value) => {
    const [low, high] = value as [number, number];
    return Number(actual) >= low && Number(actual) <= high;
  },
};
