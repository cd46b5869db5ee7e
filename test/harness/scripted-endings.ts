import { RetellSimulator } from '../retell-simulator/simulator.js';
import { eventually } from './await.js';
import { place } from './legs.js';
import { REGISTER_TIMEOUT_MS } from './register-scene.js';
import { recordOf, startPeer } from './scene.js';
import type { OutgoingCall, SipPeer } from './sip-peer.js';
import {
  CARRIER_HOST,
  RETELL_HOST,
  type Stack,
  type StackOptions,
  startStack,
  type TestLike,
} from './stack.js';
import { begin, endOf, nextRefer, notify, TARGET } from './transfers.js';

const API_KEY = 'key_0123456789abcdef';
const AGENT = 'agent_front_desk';
const SECOND_HOST = '127.0.0.4';
const FALLBACK_HOST = '127.0.0.5';
/** Of the carrier gamma, which only calls, and may have one call up. */
export const LIMITED_HOST = '127.0.0.6';

/** Our numbers, by what becomes of calls to them. */
export const NUMBERS = {
  trunk: '+14155550100',
  register: '+14155550101',
  unknownAgent: '+14155550102',
  fallback: '+14155550103',
  deadFallback: '+14155550104',
  busy: '+14155550105',
  unknown: '+14155550106',
  short: '+14155550107',
  slow: '+14155550108',
  declined: '+14155550109',
  notOurs: '+14155550198',
} as const;
/** Beginnings of the numbers that outbound calls go to. */
const CALLED = { answers: '+1415555', isBusy: '+1416555', fails: '+1417555', isNotAllowed: '+3333555' };

/** A stack between scripted carriers and a simulated Retell whose webhooks come late, twice and out of order. */
export interface EndingsScene {
  stack: Stack;
  simulator: RetellSimulator;
  acme: SipPeer;
  beta: SipPeer;
  /** Numbers that no two outbound calls have in common. */
  next: (beginning: string) => string;
}

export interface EndingsOptions extends Pick<StackOptions, 'controlPlane'> {
  /** Systems of the owner's that want events. */
  webhooks?: Record<string, unknown>[];
}

export async function startEndingsScene(
  t: TestLike,
  { controlPlane, webhooks = [] }: EndingsOptions = {},
): Promise<EndingsScene> {
  const simulator = await RetellSimulator.start({
    host: RETELL_HOST,
    apiKey: API_KEY,
    agents: [AGENT, 'agent_simulated'],
    concurrencyLimit: 100_000,
    numbers: {
      [NUMBERS.busy]: { refuse: 486 },
      [NUMBERS.unknown]: { refuse: 404 },
      [NUMBERS.fallback]: { refuse: 503 },
      [NUMBERS.deadFallback]: { refuse: 503 },
      [NUMBERS.slow]: { answer_after_ms: null },
      [NUMBERS.declined]: { refuse: 603 },
    },
  });
  t.teardown(() => simulator.stop());
  const acme = await startPeer(t, { host: CARRIER_HOST });
  const beta = await startPeer(t, { host: SECOND_HOST });
  const fallback = await startPeer(t, { host: FALLBACK_HOST });
  acme.onInvite = (call) => {
    const called = call.message.requestUri;
    call.ring();
    if (called.includes(CALLED.isBusy)) call.refuse(486);
    else call.answer();
  };
  beta.onInvite = (call) => call.refuse(502);
  fallback.onInvite = (call) => {
    if (call.message.requestUri.includes('199@')) call.answer();
    else call.refuse(500);
  };
  const carrier = (name: string, peer: SipPeer, prefixes: string[]) => ({
    ...{ name, networks: [peer.host], gateways: [{ uri: `sip:${peer.host}:${peer.port}` }] },
    ...{ prefixes, probe: false },
  });
  const fallbackUri = (user: string) => `sip:${user}@${fallback.host}:${fallback.port}`;
  const stack = await startStack(t, {
    gateways: [{ uri: `sip:${simulator.sip.host}:${simulator.sip.port}` }],
    ...(controlPlane && { controlPlane }),
    config: {
      retell: { api_key: API_KEY, base_url: simulator.http.url, register_timeout_ms: REGISTER_TIMEOUT_MS },
      carriers: [
        carrier('acme', acme, [CALLED.answers, CALLED.isBusy]),
        carrier('beta', beta, [CALLED.fails]),
        {
          ...{ name: 'gamma', networks: [LIMITED_HOST], gateways: [{ uri: `sip:${LIMITED_HOST}` }] },
          ...{ probe: false, limits: { concurrent_calls: 1 } },
        },
      ],
      numbers: [
        ...(['trunk', 'busy', 'unknown', 'slow', 'declined'] as const).map((name) => ({
          number: NUMBERS[name],
        })),
        { number: NUMBERS.short, max_duration_s: 1 },
        { number: NUMBERS.register, method: 'register', agent_id: AGENT },
        { number: NUMBERS.unknownAgent, method: 'register', agent_id: 'agent_unknown' },
        { number: NUMBERS.fallback, fallback: fallbackUri('+14155550199') },
        { number: NUMBERS.deadFallback, fallback: fallbackUri('+14155550198') },
      ],
      webhooks,
    },
  });
  simulator.terminationUri = `${stack.sip.host}:${stack.sip.port};transport=udp`;
  simulator.setWebhooks({
    ...{ url: `${stack.api.url}/webhooks/retell`, inbound_url: `${stack.api.url}/webhooks/retell/inbound` },
    ...{ delay_ms: 150, duplicates: 1, shuffle_within_ms: 400 },
  });
  let calls = 0;
  const next = (beginning: string) => `${beginning}${String(calls++).padStart(4, '0')}`;
  return { stack, simulator, acme, beta, next };
}

/** One way in which a call can end. */
export interface Ending {
  name: string;
  /** Plays it to its end. @returns the Call-ID */
  play: (scene: EndingsScene) => Promise<string>;
  /** The record's sentence. */
  explanation: RegExp;
  /** Whether Retell has a call of it, and so tells of it by webhooks. */
  atRetell: boolean;
}

const SECONDS = String.raw`[\d.]+ s`;

export const ENDINGS: readonly Ending[] = [
  {
    name: 'the caller hangs up, by trunk',
    play: (s) => answered(s, NUMBERS.trunk, async (call) => void (await call.bye())),
    explanation: ended('The caller hung up after'),
    atRetell: true,
  },
  {
    name: 'the caller hangs up, by register',
    play: (s) => answered(s, NUMBERS.register, async (call) => void (await call.bye())),
    explanation: ended('The caller hung up after'),
    atRetell: true,
  },
  ...(
    [
      ['agent_hangup', ', as the agent hung up (agent_hangup)'],
      ['inactivity', ', as nobody had said anything for too long (inactivity)'],
      ['error_llm_websocket_open', ', for an error of its own (error_llm_websocket_open)'],
      ['something_new', ' (something_new)'],
    ] as const
  ).map(([reason, because], i) => ({
    name: `Retell hangs up: ${reason}`,
    play: (s: EndingsScene) =>
      answered(s, i % 2 === 0 ? NUMBERS.trunk : NUMBERS.register, async (call) => {
        retellHangsUp(s, call, reason);
        await call.ended;
      }),
    explanation: ended('Retell ended the call after', because),
    atRetell: true,
  })),
  {
    name: 'a hangup by command',
    play: (s) =>
      answered(s, NUMBERS.trunk, async (call) => {
        await hangUpByCommand(s, call, 'answered', 'fraud');
      }),
    explanation: ended('It was hung up by command of all (fraud) after'),
    atRetell: true,
  },
  {
    name: 'a transfer by command',
    play: (s) => answered(s, NUMBERS.trunk, (call) => transferred(s, call)),
    explanation: ended(`The caller was transferred to ${TARGET} by command after`),
    atRetell: true,
  },
  {
    name: 'the longest duration',
    play: (s) => answered(s, NUMBERS.short, async (call) => void (await call.ended)),
    explanation: ended('It was hung up after', ': maximum duration reached'),
    atRetell: true,
  },
  {
    name: 'the caller gives up while it rings',
    play: (s) => ringing(s, async (call) => void (await call.cancel())),
    explanation: ended('The caller gave up after', ' of ringing'),
    atRetell: false,
  },
  {
    name: 'a hangup by command while it rings',
    play: (s) =>
      ringing(s, async (call) => {
        await hangUpByCommand(s, call, 'ringing');
        await call.finalResponse();
      }),
    explanation: ended('It was hung up by command of all after', ' of ringing'),
    atRetell: false,
  },
  {
    name: 'Retell is busy',
    play: (s) => refused(s, NUMBERS.busy),
    explanation: /^Retell refused the call with 486 \(busy\)\.$/,
    atRetell: false,
  },
  {
    name: 'Retell declines',
    play: (s) => refused(s, NUMBERS.declined),
    explanation: /^Retell refused the call with 603 \(declined\)\.$/,
    atRetell: false,
  },
  {
    name: 'Retell does not know the number',
    play: (s) => refused(s, NUMBERS.unknown),
    explanation: /^Retell refused the call with 404 \(number unknown\)\.$/,
    atRetell: false,
  },
  {
    name: 'the number is not ours',
    play: (s) => refused(s, NUMBERS.notOurs),
    explanation: /^The proxy refused the call with 404: number not configured\.$/,
    atRetell: false,
  },
  {
    name: 'Retell does not register the call',
    play: (s) => refused(s, NUMBERS.unknownAgent),
    explanation: /^The proxy refused the call with 503: retell refused: 422\.$/,
    atRetell: false,
  },
  {
    name: 'the fallback takes it',
    play: (s) => answered(s, NUMBERS.fallback, async (call) => void (await call.bye())),
    explanation: ended(
      'The caller hung up after',
      '; Retell had not taken it (no Retell gateway takes the call), and it went to the fallback',
    ),
    atRetell: false,
  },
  {
    name: 'the fallback fails too',
    play: (s) => refused(s, NUMBERS.deadFallback),
    explanation:
      /^The proxy refused the call with 503: fallback failed; Retell had not taken it \(no Retell gateway takes the call\), and it went to the fallback; it had been refused by sip:\S+ with 503, sip:\S+ with 500\.$/,
    atRetell: false,
  },
  {
    name: 'outbound, Retell hangs up',
    play: (s) => outbound(s, CALLED.answers),
    explanation: ended('Retell ended the call after', ', as the agent hung up (agent_hangup)'),
    atRetell: true,
  },
  {
    name: 'outbound, the called side is busy',
    play: (s) => outbound(s, CALLED.isBusy),
    explanation: /^The called side at acme refused the call with 486 \(busy\); Retell says dial_busy\.$/,
    atRetell: true,
  },
  {
    name: 'outbound, no carrier takes it',
    play: (s) => outbound(s, CALLED.fails),
    explanation:
      /^The proxy refused the call with 503: no carrier takes the call; it had been refused by beta with 502; Retell says telephony_provider_unavailable\.$/,
    atRetell: true,
  },
  {
    name: 'outbound, to where no carrier leads',
    play: (s) => outbound(s, CALLED.isNotAllowed),
    explanation:
      /^The proxy refused the call with 403: destination not allowed; Retell says telephony_provider_permission_denied\.$/,
    atRetell: true,
  },
];

function ended(before: string, after = ''): RegExp {
  const exact = (text: string) => text.replace(/[()+]/g, '\\$&');
  return new RegExp(`^${exact(before)} ${SECONDS}${exact(after)}\\.$`);
}

/** A carrier's call that is answered, until its end. */
async function answered(
  { stack, acme }: EndingsScene,
  to: string,
  end: (call: OutgoingCall) => Promise<void>,
): Promise<string> {
  const call = place(stack, acme, { to });
  await call.answered();
  await end(call);
  return call.callId;
}

/** A carrier's call that rings, until its end. */
async function ringing(
  { stack, acme }: EndingsScene,
  end: (call: OutgoingCall) => Promise<void>,
): Promise<string> {
  const call = place(stack, acme, { to: NUMBERS.slow });
  await call.response(180);
  await end(call);
  return call.callId;
}

async function hangUpByCommand(
  { stack }: EndingsScene,
  { callId }: OutgoingCall,
  state: string,
  reason?: string,
): Promise<void> {
  const { id } = await recordOf(stack, callId, state);
  const { status, body } = await stack.api.post(`/v1/calls/${id}/hangup`, { ...(reason && { reason }) });
  if (status !== 200 || body.outcome !== 'ended') throw new Error(`hangup: ${JSON.stringify(body)}`);
}

/** The carrier's call is sent on by REFER, and the carrier reaches whom it is sent to. */
async function transferred({ stack }: EndingsScene, call: OutgoingCall): Promise<void> {
  const { id } = await recordOf(stack, call.callId, 'answered');
  const refer = nextRefer(call);
  const transfer = await begin(stack, id);
  (await refer).reply(202);
  await notify(call, 200);
  const { state } = await endOf(stack, id, transfer.id);
  if (state !== 'succeeded') throw new Error(`transfer: ${state}`);
  await call.ended;
}

async function refused({ stack, acme }: EndingsScene, to: string): Promise<string> {
  const call = place(stack, acme, { to });
  await call.finalResponse();
  return call.callId;
}

/** The agent of this call hangs up, or Retell ends it for this reason. */
function retellHangsUp({ simulator }: EndingsScene, { callId }: OutgoingCall, reason: string): void {
  const entry = simulator.calls.all().find(({ sip }) => sip?.callId === callId);
  if (entry === undefined) throw new Error('Retell does not know the call');
  simulator.hangUp(entry, reason);
}

/** Retell calls out, as from its dashboard; the agent hangs up what is answered. */
async function outbound({ simulator, next }: EndingsScene, beginning: string): Promise<string> {
  const entry = simulator.calls.create({
    ...{ agent_id: AGENT, direction: 'outbound', from_number: NUMBERS.trunk, to_number: next(beginning) },
  });
  simulator.dial(entry, {});
  const callId = await eventually('its INVITE', () => entry.sip?.callId);
  await eventually('it is over or up', () => entry.call.call_status !== 'registered');
  if (entry.call.call_status === 'ongoing') simulator.hangUp(entry, 'agent_hangup');
  return callId;
}

/** A call that was played. */
export interface Played {
  ending: Ending;
  callId: string;
}

/** Plays each ending so many times, some calls at once. */
export async function playEndings(scene: EndingsScene, times: number, atOnce: number): Promise<Played[]> {
  const work = Array.from({ length: times }, () => ENDINGS).flat();
  const played: Played[] = [];
  const hands = Array.from({ length: atOnce }, async () => {
    for (let ending = work.pop(); ending !== undefined; ending = work.pop()) {
      played.push({ ending, callId: await ending.play(scene) });
    }
  });
  await Promise.all(hands);
  return played;
}
