import t from 'tap';
import { parseDestination, refusalOf } from '../../../control-plane/src/calls/transfer/destination.js';
import { TransferError } from '../../../control-plane/src/calls/transfer/errors.js';
import { mutatedSometimes } from '../../harness/mutations.js';
import { carrierAt } from '../../harness/outbound.js';
import { Random } from '../../harness/random.js';
import { startScene } from '../../harness/scene.js';
import { Stage } from '../../harness/staged-calls.js';
import { LISTS } from '../../harness/transfer-destinations.js';
import { sidesOf } from '../../harness/transfers.js';
import { refer } from '../../harness/transfers-by-retell.js';
import { configOf } from '../../unit/routing-fixture.js';

const CASES = 2000;
const CALLS = 20;
const SEED = 20_260_823;

const SEEDS = [
  'tel:+14155550188',
  'tel:+1-415-555-0188;ext=12',
  'sip:200@pbx.example.com',
  'sip:+14155550188@pbx.example.com:5080;transport=tcp',
  'sips:alice.b@[2001:db8::1];user=phone',
  'sip:+14155550188@sip.retellai.com;transport=tcp',
];

const config = configOf({ transfers: LISTS });

/** What the control plane would write into Refer-To for a carrier at this host; undefined where it refuses. */
function allowed(to: string, host: string): string | undefined {
  try {
    const destination = parseDestination(to);
    if (refusalOf(destination, config, {}) !== undefined) return undefined;
    return destination.kind === 'uri' ? `<${destination.uri}>` : `<sip:${destination.number}@${host}>`;
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    return undefined;
  }
}

/** The same for a number behind a host of Retell's choice, which a command may not have. */
function allowedOfRetell(to: string, host: string): string | undefined {
  const [, number, at = ''] = /^sips?:(\+\d+)@(\[[^\]]*\]|[^:;?]*)[^?]*$/i.exec(to) ?? [];
  const listed = LISTS.hosts.some((one) => one.toLowerCase() === at.toLowerCase());
  return number === undefined || listed ? undefined : allowed(`tel:${number}`, host);
}

t.test(`of ${CASES} destinations of Retell's none goes where no command could lead`, async (t) => {
  const scene = await startScene(t, {
    config: ({ carrier }) => ({
      carriers: [carrierAt('first', carrier)],
      transfers: { ...LISTS, per_minute: 100_000 },
    }),
  });
  const stage = new Stage(scene);
  const { host } = scene.carrier;
  const random = new Random(SEED);
  // What ends the brackets or the line, and the space in them, is for the parser of the header, not for the check.
  const destinations = Array.from({ length: CASES }, () =>
    mutatedSometimes(random, random.pick(SEEDS))
      .replace(/[<>\r\n\0]/g, '')
      .trim(),
  );
  let passed = 0;
  await Promise.all(
    Array.from({ length: CALLS }, async (_, lane) => {
      const direction = lane % 2 === 0 ? 'inbound' : 'outbound';
      const { carrier, retell } = sidesOf(await stage.answered(direction), direction);
      let got: readonly string[] = [];
      carrier.on('REFER', (request) => {
        got = request.message.getAll('refer-to');
        request.reply(603);
      });
      for (let i = lane; i < CASES; i += CALLS) {
        const to = destinations[i] ?? '';
        got = [];
        const { status } = await refer(retell, [['Refer-To', `<${to}>`]]);
        const wanted = allowed(to, host);
        if (status === 603) passed += 1;
        const right =
          status === 603
            ? got.length === 1 && got[0] === (wanted ?? allowedOfRetell(to, host))
            : status === 403 && got.length === 0 && wanted === undefined;
        if (!right) t.fail(`${status} and ${got} for ${JSON.stringify(to)}, by command ${wanted}`);
      }
      t.equal((await retell.bye()).status, 200);
    }),
  );
  t.ok(passed > CASES / 4, 'some are well-formed');
  t.ok(passed < (CASES * 3) / 4, 'many are not');
});
