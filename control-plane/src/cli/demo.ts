import { setTimeout as delay } from 'node:timers/promises';
import { SippRun } from '../../../sipp-scenarios/sipp.js';
import { drawLadder } from '../calls/ladder/draw.js';
import { parseSipListen } from '../config/addresses.js';
import { type CallView, DemoApi, type TransferView } from './demo-api.js';
import { ladderMessage, type SeenMessage } from './seen-messages.js';

/** The longest wait for anything that the demo waits for, in ms. */
const WAIT_MS = 10_000;
/** How long the caller and the agent are left to talk, in ms. */
const TALK_MS = 500;
const THIRD_PARTY = '+14155550188';

/** One call of the demo, while its carrier runs. */
interface DemoCall {
  api: DemoApi;
  carrier: SippRun;
  call: CallView;
}

/**
 * `npm run demo`: places two calls through the running demo, shows their records, hangs one up through the API, has the
 * other transferred by its agent, and draws what each side saw.
 *
 * @throws Error with one line where no demo runs, or where something goes otherwise than told
 */
export async function demo({ configFile }: { configFile: string }): Promise<void> {
  const api = await DemoApi.connect(configFile);
  say('--- A call that is hung up through the API ---\n');
  await withCall(api, { number: api.config.numbers[0]?.number ?? '', scenario: 'inbound-until-bye' }, hangUp);
  say('\n--- A call that its agent transfers ---\n');
  await withCall(
    api,
    { number: api.config.numbers[1]?.number ?? '', scenario: 'inbound-refer-accepted' },
    transfer,
  );
}

/** The carrier dials and Retell answers; once `act` is over, what each side saw is drawn. */
async function withCall(
  api: DemoApi,
  { number, scenario }: { number: string; scenario: string },
  act: (demo: DemoCall) => Promise<void>,
): Promise<void> {
  const { host, port } = parseSipListen(api.config.sip.listen[0] ?? '');
  say(`The carrier (SIPp) dials ${number}.`);
  const callIdPrefix = `demo-${process.pid}-${Date.now()}`;
  const carrier = await SippRun.start({
    scenario: `carrier/${scenario}.xml`,
    host: '127.0.0.1',
    target: `${host}:${port}`,
    number,
    callIdPrefix,
    trace: true,
    timeoutS: 30,
  });
  try {
    const call = await awaitAnswer(api, `${callIdPrefix}-1@127.0.0.1`);
    say('\nRetell has answered. The record, GET /v1/calls/{id}:');
    say(JSON.stringify(call, null, 2));
    await delay(TALK_MS);
    await act({ api, carrier, call });
    const { successful } = await carrier.result();
    if (successful !== 1)
      throw new Error('the carrier saw something else than one call that ended as it should');
    const ended = await awaitEnd(api, call.id);
    say(`\nIt is ${ended.state} now. ${ended.explanation} What each side saw:\n`);
    for (const line of drawLadder((await messagesOf({ api, carrier, call })).map(ladderMessage))) say(line);
  } finally {
    await carrier.stop();
  }
}

async function hangUp({ api, call }: DemoCall): Promise<void> {
  say(`\nThe call is hung up, POST /v1/calls/${call.id}/hangup:`);
  say(JSON.stringify(await api.post(`/v1/calls/${call.id}/hangup`, { reason: 'demo' }), null, 2));
}

async function transfer({ api, carrier, call }: DemoCall): Promise<void> {
  say(
    `\nThe agent calls its function, POST /functions/transfer_call with {"to": "${THIRD_PARTY}"}, and is answered:`,
  );
  const answer = await api.callFunction(call.retell_call_id ?? '', 'transfer_call', { to: THIRD_PARTY });
  say(answer.body);
  // The carrier's script ends with the BYE that follows from a transfer that worked.
  await carrier.result();
  const { transfers } = await api.get<{ transfers: TransferView[] }>(`/v1/calls/${call.id}`);
  const [first] = transfers;
  if (first?.state !== 'succeeded') throw new Error(`the transfer is ${first?.state ?? 'not in the record'}`);
  say(
    `\nThe carrier has called ${THIRD_PARTY}. The transfer, GET /v1/calls/${call.id}/transfers/${first.id}:`,
  );
  say(JSON.stringify(await api.get(`/v1/calls/${call.id}/transfers/${first.id}`), null, 2));
}

async function awaitAnswer(api: DemoApi, sipCallId: string): Promise<CallView> {
  const path = `/v1/calls?sip_call_id=${encodeURIComponent(sipCallId)}`;
  return until('the call was not answered', async () => {
    const [call] = (await api.get<{ items: CallView[] }>(path)).items;
    if (call?.state === 'ended')
      throw new Error(`the call ended unanswered: GET /v1/calls/${call.id} says why`);
    return call?.state === 'answered' ? call : undefined;
  });
}

/** Also for the answers to our own BYEs, whose events may come after the call's end. */
async function awaitEnd(api: DemoApi, id: string): Promise<CallView> {
  return until('the call did not end with every BYE answered', async () => {
    const call = await api.get<CallView>(`/v1/calls/${id}`);
    const count = (type: string) => call.timeline.filter((entry) => entry.type === type).length;
    return call.state === 'ended' && count('bye_answered') >= count('bye_sent') ? call : undefined;
  });
}

async function until<T>(otherwise: string, probe: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  while (Date.now() < deadline) {
    const found = await probe();
    if (found !== undefined) return found;
    await delay(50);
  }
  throw new Error(`${otherwise} within ${WAIT_MS / 1000} s`);
}

async function messagesOf({ api, carrier, call }: DemoCall): Promise<SeenMessage[]> {
  const seenByCarrier = await carrier.messages();
  const seenByRetell = await api.seenByRetell(call.sip_call_id);
  return [
    ...seenByCarrier.map((message) => ({ ...message, side: 'carrier' as const })),
    ...seenByRetell.map(({ first_line, ...message }) => ({
      ...message,
      firstLine: first_line,
      side: 'retell' as const,
    })),
  ];
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
