/** A call as it is played by two SIPps, one on each side of the proxy. */
export interface Scenario {
  /** What --scenario takes, e.g. inbound-answered. */
  name: string;
  /** One line for --list. */
  summary: string;
  direction: 'inbound' | 'outbound';
  /** File in sipp-scenarios/ of the side that calls. */
  caller: string;
  /** File of the side that is called; undefined where the proxy answers itself (OPTIONS). */
  callee?: string;
  /** Final status that the caller gets to its INVITE (OPTIONS for options). */
  status: number;
  /** Whether the call is held for the length that is asked for: sipp -d, which both sides are given. */
  held: boolean;
  /** What has to be commanded by the API while each call is up, where the scenario waits for that. */
  command?: 'hangup' | 'transfer';
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'inbound-answered',
    summary: 'a carrier calls, Retell answers, the carrier hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-answered.xml',
    callee: 'called/answer.xml',
    status: 200,
    held: true,
  },
  {
    name: 'inbound-busy',
    summary: 'a carrier calls, Retell is busy (486)',
    direction: 'inbound',
    caller: 'carrier/inbound-refused.xml',
    callee: 'called/busy.xml',
    status: 486,
    held: false,
  },
  {
    name: 'outbound-answered',
    summary: 'Retell calls out, the carrier answers, Retell hangs up',
    direction: 'outbound',
    caller: 'retell/outbound-answered.xml',
    callee: 'called/answer.xml',
    status: 200,
    held: true,
  },
];

/** Short names of what is played most. */
const ALIASES: Readonly<Record<string, string>> = {
  inbound: 'inbound-answered',
  outbound: 'outbound-answered',
};

/** @throws Error that names the known ones */
export function scenarioNamed(name: string): Scenario {
  const scenario = SCENARIOS.find((known) => known.name === (ALIASES[name] ?? name));
  if (scenario === undefined) {
    const known = [...Object.keys(ALIASES), ...SCENARIOS.map((each) => each.name)];
    throw new Error(`no scenario is named ${name}; there are ${known.join(', ')}`);
  }
  return scenario;
}
