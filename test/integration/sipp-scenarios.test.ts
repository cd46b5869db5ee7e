import t, { type Test } from 'tap';
import { SCENARIOS, type Scenario, scenarioNamed } from '../../sipp-scenarios/scenarios.js';
import { noDialogLeft } from '../harness/scene.js';
import {
  carrierOf,
  carrierRoute,
  type Played,
  play,
  type Route,
  retellRoute,
  startCallee,
} from '../harness/sipp-scenes.js';
import { CARRIER_HOST, startStack } from '../harness/stack.js';
import { makeTrust } from '../harness/tls-scene.js';

/** What the records say of the calls of a scenario. */
interface Expected {
  /** `ended_by`. */
  by: string;
  /** The provisional response that reached the caller; without it there was none. */
  rung?: number;
  /** What the API says of its command. */
  outcome?: Played['commands'][number];
}

const EXPECTED: Readonly<Record<string, Expected>> = {
  'inbound-answered': { by: 'carrier', rung: 180 },
  'inbound-retell-hangs-up': { by: 'retell', rung: 180 },
  'inbound-api-hangs-up': { by: 'api', rung: 180, outcome: { outcome: 'ended' } },
  'inbound-cancelled': { by: 'carrier', rung: 180 },
  'inbound-no-answer': { by: 'carrier', rung: 180 },
  'inbound-unavailable': { by: 'failure', rung: 180 },
  'inbound-busy': { by: 'failure' },
  'inbound-refused-404': { by: 'failure' },
  'inbound-refused-503': { by: 'failure' },
  'inbound-early-media': { by: 'carrier', rung: 183 },
  'inbound-reinvite': { by: 'carrier', rung: 180 },
  'inbound-update': { by: 'carrier', rung: 180 },
  'inbound-info': { by: 'carrier', rung: 180 },
  'inbound-dtmf': { by: 'carrier', rung: 180 },
  'inbound-session-timer': { by: 'carrier', rung: 180 },
  'inbound-refer-accepted': { by: 'api', rung: 180, outcome: { state: 'succeeded' } },
  'inbound-refer-refused': { by: 'carrier', rung: 180, outcome: { state: 'rejected' } },
  'inbound-refer-silent': { by: 'carrier', rung: 180, outcome: { state: 'call_ended' } },
  'outbound-answered': { by: 'retell', rung: 180 },
  'outbound-carrier-hangs-up': { by: 'carrier', rung: 180 },
  'outbound-api-hangs-up': { by: 'api', rung: 180, outcome: { outcome: 'ended' } },
  'outbound-cancelled': { by: 'retell', rung: 180 },
  'outbound-no-answer': { by: 'retell', rung: 180 },
  'outbound-unavailable': { by: 'failure', rung: 180 },
  'outbound-busy': { by: 'failure' },
  'outbound-refused-404': { by: 'failure' },
  'outbound-refused-503': { by: 'failure' },
  'outbound-early-media': { by: 'retell', rung: 183 },
  'outbound-reinvite': { by: 'retell', rung: 180 },
  'outbound-session-timer': { by: 'retell', rung: 180 },
  'outbound-digest': { by: 'retell', rung: 180 },
};

const ACME = {
  name: 'acme',
  networks: [CARRIER_HOST],
  gateways: [{ uri: `sip:${CARRIER_HOST}:9` }],
  probe: false,
};

/** Every call went as the scenario says, for SIPp and for the records. */
function assertPlayed(
  t: Test,
  { name, status }: Scenario,
  { result, errors, records, commands }: Played,
): void {
  t.match(result, { created: 3, successful: 3, failed: 0, failures: {} }, errors);
  const { by, rung, outcome } = EXPECTED[name] ?? { by: 'nobody' };
  for (const { sip_status, ended_by, timeline } of records) {
    t.match({ sip_status, ended_by }, { sip_status: status, ended_by: by });
    const codes = timeline.filter(({ type }: { type: string }) => type === 'ringing');
    t.same(
      codes.map(({ code, status }: Record<string, unknown>) => code ?? status),
      rung === undefined ? [] : [rung],
      'provisional responses',
    );
  }
  if (outcome !== undefined) t.match(commands, [outcome, outcome, outcome]);
}

t.test('each scenario goes as it says, over UDP', async (t) => {
  const scenarios = SCENARIOS.filter(({ digest }) => digest === undefined);
  const outbound = scenarios.filter(({ direction }) => direction === 'outbound');
  const routes = await Promise.all(outbound.map((_, index) => carrierRoute(index)));
  const retell = await retellRoute();
  const routed = outbound.map((scenario, index) => ({ scenario, route: routes[index] as Route }));
  await Promise.all(routed.map(({ scenario, route }) => startCallee(t, scenario.callee ?? '', route)));
  const stack = await startStack(t, {
    gateways: [{ uri: `sip:${retell.host}:${retell.port}` }],
    config: { carriers: [ACME, ...routes.map((route) => carrierOf(route))] },
  });

  const playing = new Map<string, Promise<Played>>();
  const begin = (scenario: Scenario, route: Route) => {
    const played = play(t, stack, scenario, { route });
    playing.set(scenario.name, played);
    return played;
  };
  const out = routed.map(({ scenario, route }) => begin(scenario, route));
  // All inbound calls go to the one gateway, so those of one called side are played together.
  const inbound = scenarios.filter(({ direction }) => direction === 'inbound');
  for (const callee of new Set(inbound.map((scenario) => scenario.callee))) {
    const run = callee === undefined ? undefined : await startCallee(t, callee, retell);
    const together = inbound.filter((scenario) => scenario.callee === callee);
    await Promise.all(together.map((scenario) => begin(scenario, retell)));
    await run?.stop();
  }
  await Promise.all(out);

  for (const scenario of scenarios) {
    await t.test(scenario.name, async (t) => {
      assertPlayed(t, scenario, await (playing.get(scenario.name) as Promise<Played>));
    });
  }
  await noDialogLeft(stack);
  t.equal(await stack.redis.zcard('calls:open'), 0, 'no record is open');
});

t.test('the same files play over TCP and TLS, and with credentials on both sides', async (t) => {
  const trust = await makeTrust(t);
  const transports = ['udp', 'tcp', 'tls'] as const;
  const proved = scenarioNamed('outbound-digest');
  const hungUp = scenarioNamed('inbound-retell-hangs-up');
  const routes = await Promise.all(transports.map((transport, index) => carrierRoute(index, transport)));
  const retell = await retellRoute();
  await Promise.all([
    ...routes.map((route) => startCallee(t, proved.callee ?? '', route, trust)),
    startCallee(t, hungUp.callee ?? '', retell),
  ]);
  const digests = proved.digest ?? { retell: {}, carrier: {} };
  const stack = await startStack(t, {
    tls: trust.section,
    gateways: [{ uri: `sip:${retell.host}:${retell.port}` }],
    config: {
      retell: { digest: digests.retell },
      carriers: [ACME, ...routes.map((route) => carrierOf(route, { digest: { ...digests.carrier } }))],
    },
  });
  await Promise.all(
    routes.map(async (route) => {
      const { transport } = route;
      for (const [scenario, way] of [
        [proved, route],
        [hungUp, { ...retell, transport }],
      ] as const) {
        const prefix = `${scenario.name}-${transport}`;
        const played = await play(t, stack, scenario, { route: way, trust, prefix });
        await t.test(prefix, async (t) => assertPlayed(t, scenario, played));
      }
    }),
  );
  await noDialogLeft(stack);
});
