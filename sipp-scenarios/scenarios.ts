import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../control-plane/src/cli/paths.js';
import type { Credentials } from './sipp.js';

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
  /**
   * What the proxy's configuration has to hold in `retell.digest` and `carriers[].digest`; the first is what the caller
   * proves itself with, too. With `retell.digest` every call of Retell's is challenged, so this plays alone.
   */
  digest?: { retell: Credentials; carrier: Credentials };
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
    name: 'inbound-retell-hangs-up',
    summary: 'a carrier calls, Retell answers and hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-until-bye.xml',
    callee: 'called/answer-and-hang-up.xml',
    status: 200,
    held: true,
  },
  {
    name: 'inbound-api-hangs-up',
    summary: 'a carrier calls, Retell answers, the API hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-until-bye.xml',
    callee: 'called/answer.xml',
    status: 200,
    held: false,
    command: 'hangup',
  },
  {
    name: 'inbound-cancelled',
    summary: 'a carrier calls and gives up as soon as it rings (CANCEL)',
    direction: 'inbound',
    caller: 'carrier/inbound-cancelled.xml',
    callee: 'called/ring.xml',
    status: 487,
    held: false,
  },
  {
    name: 'inbound-no-answer',
    summary: 'a carrier calls, lets it ring and gives up (CANCEL)',
    direction: 'inbound',
    caller: 'carrier/inbound-cancelled.xml',
    callee: 'called/ring.xml',
    status: 487,
    held: true,
  },
  {
    name: 'inbound-unavailable',
    summary: 'a carrier calls, it rings, Retell says that nobody answers (480)',
    direction: 'inbound',
    caller: 'carrier/inbound-refused.xml',
    callee: 'called/no-answer.xml',
    status: 480,
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
    name: 'inbound-refused-404',
    summary: 'a carrier calls, Retell does not know the number (404)',
    direction: 'inbound',
    caller: 'carrier/inbound-refused.xml',
    callee: 'called/refuse-404.xml',
    status: 404,
    held: false,
  },
  {
    name: 'inbound-refused-503',
    summary: 'a carrier calls, no gateway of Retell has room (503)',
    direction: 'inbound',
    caller: 'carrier/inbound-refused.xml',
    callee: 'called/refuse-503.xml',
    status: 503,
    held: false,
  },
  {
    name: 'inbound-early-media',
    summary: 'a carrier calls, hears something (183 with SDP), is answered, hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-answered.xml',
    callee: 'called/early-media.xml',
    status: 200,
    held: true,
  },
  {
    name: 'inbound-reinvite',
    summary: 'a carrier calls, is answered, holds and takes back the call by re-INVITE, hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-reinvite.xml',
    callee: 'called/answer-requests.xml',
    status: 200,
    held: true,
  },
  {
    name: 'inbound-update',
    summary: 'a carrier calls, is answered, sends an UPDATE, hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-update.xml',
    callee: 'called/answer-requests.xml',
    status: 200,
    held: true,
  },
  {
    name: 'inbound-info',
    summary: 'a carrier calls, is answered, sends an INFO, hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-info.xml',
    callee: 'called/answer-requests.xml',
    status: 200,
    held: true,
  },
  {
    name: 'inbound-dtmf',
    summary: 'a carrier calls, is answered, presses three keys (INFO), hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-dtmf.xml',
    callee: 'called/answer-requests.xml',
    status: 200,
    held: true,
  },
  {
    name: 'inbound-session-timer',
    summary: 'a carrier calls with a session timer and refreshes it by re-INVITE',
    direction: 'inbound',
    caller: 'carrier/inbound-session-timer.xml',
    callee: 'called/session-timer.xml',
    status: 200,
    held: true,
  },
  {
    name: 'inbound-refer-accepted',
    summary: 'a carrier calls, is answered, takes the REFER of a transfer that works',
    direction: 'inbound',
    caller: 'carrier/inbound-refer-accepted.xml',
    callee: 'called/answer.xml',
    status: 200,
    held: false,
    command: 'transfer',
  },
  {
    name: 'inbound-refer-refused',
    summary: 'a carrier calls, is answered, refuses the REFER of a transfer (603), hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-refer-refused.xml',
    callee: 'called/answer.xml',
    status: 200,
    held: true,
    command: 'transfer',
  },
  {
    name: 'inbound-refer-silent',
    summary: 'a carrier calls, is answered, leaves the REFER of a transfer without an answer, hangs up',
    direction: 'inbound',
    caller: 'carrier/inbound-refer-silent.xml',
    callee: 'called/answer.xml',
    status: 200,
    held: true,
    command: 'transfer',
  },
  {
    name: 'options',
    summary: 'a carrier asks the proxy whether it is there',
    direction: 'inbound',
    caller: 'carrier/options.xml',
    status: 200,
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
  {
    name: 'outbound-carrier-hangs-up',
    summary: 'Retell calls out, the carrier answers and hangs up',
    direction: 'outbound',
    caller: 'retell/outbound-until-bye.xml',
    callee: 'called/answer-and-hang-up.xml',
    status: 200,
    held: true,
  },
  {
    name: 'outbound-api-hangs-up',
    summary: 'Retell calls out, the carrier answers, the API hangs up',
    direction: 'outbound',
    caller: 'retell/outbound-until-bye.xml',
    callee: 'called/answer.xml',
    status: 200,
    held: false,
    command: 'hangup',
  },
  {
    name: 'outbound-cancelled',
    summary: 'Retell calls out and gives up as soon as it rings (CANCEL)',
    direction: 'outbound',
    caller: 'retell/outbound-cancelled.xml',
    callee: 'called/ring.xml',
    status: 487,
    held: false,
  },
  {
    name: 'outbound-no-answer',
    summary: 'Retell calls out, lets it ring and gives up (CANCEL)',
    direction: 'outbound',
    caller: 'retell/outbound-cancelled.xml',
    callee: 'called/ring.xml',
    status: 487,
    held: true,
  },
  {
    name: 'outbound-unavailable',
    summary: 'Retell calls out, it rings, the carrier says that nobody answers (480)',
    direction: 'outbound',
    caller: 'retell/outbound-refused.xml',
    callee: 'called/no-answer.xml',
    status: 480,
    held: true,
  },
  {
    name: 'outbound-busy',
    summary: 'Retell calls out, the callee is busy (486)',
    direction: 'outbound',
    caller: 'retell/outbound-refused.xml',
    callee: 'called/busy.xml',
    status: 486,
    held: false,
  },
  {
    name: 'outbound-refused-404',
    summary: 'Retell calls out, the carrier does not know the number (404)',
    direction: 'outbound',
    caller: 'retell/outbound-refused.xml',
    callee: 'called/refuse-404.xml',
    status: 404,
    held: false,
  },
  {
    name: 'outbound-refused-503',
    summary: 'Retell calls out, no carrier has room (503)',
    direction: 'outbound',
    caller: 'retell/outbound-refused.xml',
    callee: 'called/refuse-503.xml',
    status: 503,
    held: false,
  },
  {
    name: 'outbound-early-media',
    summary: 'Retell calls out, hears something (183 with SDP), is answered, hangs up',
    direction: 'outbound',
    caller: 'retell/outbound-answered.xml',
    callee: 'called/early-media.xml',
    status: 200,
    held: true,
  },
  {
    name: 'outbound-reinvite',
    summary: 'Retell calls out, is answered, holds and takes back the call by re-INVITE, hangs up',
    direction: 'outbound',
    caller: 'retell/outbound-reinvite.xml',
    callee: 'called/answer-requests.xml',
    status: 200,
    held: true,
  },
  {
    name: 'outbound-session-timer',
    summary: 'Retell calls out with a session timer and refreshes it by UPDATE',
    direction: 'outbound',
    caller: 'retell/outbound-session-timer.xml',
    callee: 'called/session-timer.xml',
    status: 200,
    held: true,
  },
  {
    name: 'outbound-digest',
    summary: 'Retell calls out and proves who it is, and so does the proxy to the carrier',
    direction: 'outbound',
    caller: 'retell/outbound-digest.xml',
    callee: 'carrier/answer-digest.xml',
    status: 200,
    held: true,
    digest: {
      retell: { username: 'retell', password: 'secret' },
      carrier: { username: 'proxy', password: 'secret' },
    },
  },
];

/** Short names of what is played most. */
const ALIASES: Readonly<Record<string, string>> = {
  inbound: 'inbound-answered',
  outbound: 'outbound-answered',
};

/**
 * How long the caller of a scenario keeps a call after its last message, in s, as its file says: for copies of what that
 * answers. SIPp counts it as part of the call.
 */
export function lingerOf({ caller }: Scenario): number {
  const text = readFileSync(join(ROOT, 'sipp-scenarios', caller), 'utf8');
  return Number(/<timewait milliseconds="(\d+)"/.exec(text)?.[1] ?? 0) / 1000;
}

/** @throws Error that names the known ones */
export function scenarioNamed(name: string): Scenario {
  const scenario = SCENARIOS.find((known) => known.name === (ALIASES[name] ?? name));
  if (scenario === undefined) {
    const known = [...Object.keys(ALIASES), ...SCENARIOS.map((each) => each.name)];
    throw new Error(`no scenario is named ${name}; there are ${known.join(', ')}`);
  }
  return scenario;
}
