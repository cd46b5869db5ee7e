import { setTimeout as delay } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { CSEQ_GAP } from '../control-plane/src/kamailio/node.js';
import { type SipCall, SipPeer } from '../test/harness/sip-peer.js';
import { CARRIER_HOST, RETELL_HOST } from '../test/harness/stack.js';
import { now } from './clock.js';
import type { DialCommand, HeldCall, HeldLeg } from './held-calls.js';

/** Both peers in a thread of their own: they answer at once, whatever the bench itself does. */
const carrier = await SipPeer.start({ host: CARRIER_HOST, trace: false });
const retell = await SipPeer.start({ host: RETELL_HOST, trace: false });
const calls = new Map<string, HeldCall>();
let placed = 0;
let isRinging = false;

retell.onInvite = (callee) => {
  const call = calls.get(callee.callId);
  if (call === undefined) return callee.refuse(404);
  call.id = callee.message.get('x-call-ref') ?? '';
  watch(callee, call.callee);
  if (isRinging) callee.ring();
  else callee.answer();
};

/** Answers every BYE at once and notes it. */
function watch(side: SipCall, leg: HeldLeg): void {
  side.on('BYE', (request) => {
    leg.byeAt ??= now();
    request.reply(200);
    leg.byes += 1;
    if (request.message.cseq >= CSEQ_GAP) leg.fromRecord += 1;
  });
}

async function dial({ count, rate, host, port, number, ringing = false }: DialCommand): Promise<void> {
  isRinging = ringing;
  const started = now();
  const leg = (): HeldLeg => ({ byes: 0, fromRecord: 0 });
  const answered = Array.from({ length: count }, async (_, index) => {
    await delay(Math.max(0, started + (index * 1000) / rate - now()));
    const call: HeldCall = { id: '', caller: leg(), callee: leg() };
    const from = carrier.uri('+14155550123');
    placed += 1;
    const callId = `held-${process.pid}-${placed}`;
    calls.set(callId, call);
    const caller = carrier.invite({ to: `sip:${number}@${host}:${port}`, from, via: { host, port }, callId });
    watch(caller, call.caller);
    await (ringing ? caller.response(180) : caller.answered());
  });
  await Promise.all(answered);
}

parentPort?.on('message', async (command: DialCommand | 'calls') => {
  if (command === 'calls') return parentPort?.postMessage([...calls.values()]);
  calls.clear();
  const failure = await dial(command).then(
    () => undefined,
    (error) => String(error),
  );
  parentPort?.postMessage({ failure });
});
parentPort?.postMessage({ carrierPort: carrier.port, retellPort: retell.port });
