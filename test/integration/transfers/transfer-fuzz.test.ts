import t from 'tap';
import { mutatedSometimes } from '../../harness/mutations.js';
import { oneCarrier } from '../../harness/outbound.js';
import { Random } from '../../harness/random.js';
import type { SipMessage } from '../../harness/sip-peer.js';
import { Stage } from '../../harness/staged-calls.js';

const CASES = 2000;
const CALLS = 20;
const SEED = 20_260_822;
const HOST = 'pbx.example.com';

const DESTINATIONS = [
  '+14155550188',
  'tel:+14155550188',
  'tel:+1-415-555-0188;ext=12',
  `sip:200@${HOST}`,
  `sip:+14155550188@${HOST}:5080;transport=tcp`,
  `sips:alice.b@${HOST};user=phone`,
];
const NAMES = [
  'X-Case',
  'x-a',
  'User-to-User',
  'X-Call-Ref',
  'Subject',
  'Via',
  'Route',
  'Content-Length',
  'X-',
  'X-Ünï',
];
const VALUES = ['17', 'a b', '616263;encoding=hex', '<sip:x@example.com>;tag=1', '"quoted"', 'ü', ''];
function bodyOf(random: Random): Record<string, unknown> {
  const headers: [string, string][] = [];
  for (let count = random.below(4); count > 0; count -= 1) {
    headers.push([
      mutatedSometimes(random, random.pick(NAMES)),
      mutatedSometimes(random, random.pick(VALUES)),
    ]);
  }
  return {
    to: mutatedSometimes(random, random.pick(DESTINATIONS)),
    ...(headers.length > 0 && { headers: Object.fromEntries(headers) }),
    ...(random.below(4) === 0 && { referred_by: mutatedSometimes(random, random.pick(DESTINATIONS)) }),
  };
}

/** All that a REFER says besides what was asked for. */
const OWN = new Set(
  'via,from,to,cseq,call-id,content-length,refer-to,referred-by,max-forwards,contact,user-agent'.split(','),
);
const REFER_TO =
  /^<(tel:\+\d{7,15}|sip:\+\d{7,15}@[\d.]+|sips?:[\w.+~*!-]+@pbx\.example\.com(:\d+)?(;(transport=(udp|tcp|tls)|user=phone))*)>$/i;

/** What is wrong with a REFER, in words. */
function faultsOf(refer: SipMessage, asked: Record<string, unknown>): string[] {
  const faults: string[] = [];
  const [head = '', body = ''] = refer.raw.split('\r\n\r\n');
  const [first = '', ...lines] = head.split('\r\n');
  if (!/^REFER sip:[^\s<>]+ SIP\/2\.0$/.test(first)) faults.push(`first line ${first}`);
  if (body !== '') faults.push('a body');
  const names = new Map<string, number>();
  for (const line of lines) {
    const [, name = '', value] = /^([A-Za-z0-9-]+): ([\x20-\x7e]*)$/.exec(line) ?? [];
    if (value === undefined) faults.push(`line ${JSON.stringify(line)}`);
    names.set(name.toLowerCase(), (names.get(name.toLowerCase()) ?? 0) + 1);
  }
  const wanted = asked.headers as Record<string, string> | undefined;
  for (const [name, count] of names) {
    if (count > 1) faults.push(`${name} ${count} times`);
    if (OWN.has(name)) continue;
    const [, value] = Object.entries(wanted ?? {}).find(([key]) => key.toLowerCase() === name) ?? [];
    if (value === undefined) faults.push(`${name}, which nobody asked for`);
    else if (refer.get(name) !== value) faults.push(`${name} is ${refer.get(name)}`);
  }
  if (!REFER_TO.test(refer.get('refer-to') ?? '')) faults.push(`Refer-To ${refer.get('refer-to')}`);
  return faults;
}

t.test(
  `of ${CASES} requests for transfers none puts anything but one well-formed REFER on the wire`,
  async (t) => {
    const stage = new Stage(
      await oneCarrier(t, { config: { transfers: { per_minute: 100_000, hosts: [HOST] } } }),
    );
    const { stack, carrier: peer, retell } = stage.scene;
    const calls = await Promise.all(
      Array.from({ length: CALLS }, (_, i) => stage.answered(i % 2 === 0 ? 'inbound' : 'outbound')),
    );
    const random = new Random(SEED);
    const bodies = Array.from({ length: CASES }, () => bodyOf(random));
    const answers = new Map<number, number>();
    const refers: { refer: SipMessage; asked: Record<string, unknown> }[] = [];
    await Promise.all(
      calls.map(async (call, lane) => {
        const carrier = lane % 2 === 0 ? call.caller : call.callee;
        let asked: Record<string, unknown> = {};
        carrier.on('REFER', (request) => {
          refers.push({ refer: request.message, asked });
          request.reply(603);
        });
        for (let i = lane; i < CASES; i += CALLS) {
          asked = bodies[i] ?? {};
          const { status, body } = await stack.api.post(`/v1/calls/${call.id}/transfers`, asked, 'all', {
            prefer: 'wait=10',
          });
          answers.set(status, (answers.get(status) ?? 0) + 1);
          const known = status === 200 ? body.state === 'rejected' : [400, 403].includes(status);
          if (!known) t.fail(`${status} ${JSON.stringify(body)} for ${JSON.stringify(asked)}`);
        }
      }),
    );
    t.comment(Object.fromEntries(answers));
    t.ok((answers.get(200) ?? 0) > CASES / 20, 'some are well-formed');
    t.ok((answers.get(400) ?? 0) > CASES / 4, 'many are not');
    t.equal(refers.length, answers.get(200), 'one REFER for each that was taken');
    for (const { refer, asked } of refers) {
      const faults = faultsOf(refer, asked);
      if (faults.length > 0) t.fail(`${faults.join(', ')} for ${JSON.stringify(asked)}`);
    }
    const requests = (trace: typeof peer.trace) =>
      new Set(
        trace
          .filter(({ direction, message }) => direction === 'in' && message.kind === 'request')
          .map(({ message }) => message.method)
          // Retell's gateway is probed.
          .filter((method) => method !== 'OPTIONS'),
      );
    t.same([...requests(peer.trace)].sort(), ['ACK', 'INVITE', 'REFER']);
    t.same([...requests(retell.trace)].sort(), ['ACK', 'INVITE']);
    for (const { caller } of calls) t.equal((await caller.bye()).status, 200);
  },
);
