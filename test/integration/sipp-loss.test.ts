import t, { type Test } from 'tap';
import { freePort } from '../../control-plane/src/cli/ports.js';
import { SCENARIOS, type Scenario } from '../../sipp-scenarios/scenarios.js';
import { startLosingRelay } from '../harness/losing-relay.js';
import { startRun } from '../harness/sipp-scenes.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST } from '../harness/stack.js';

const HOLD_MS = 100;
/** Each message is sent again after 0.5 s at first, and whoever has the last word waits for copies. */
const TIMEOUT_S = 60;

/** Plays one call of a scenario, with nobody between the two sides. */
async function play(t: Test, { caller, callee = '', held }: Scenario) {
  const shared = { holdMs: held ? HOLD_MS : 0, timeoutS: TIMEOUT_S, traceErrors: true };
  const called = { host: RETELL_HOST, port: await freePort(RETELL_HOST) };
  const relay = await startLosingRelay(t, RETELL_HOST, called);
  const target = `${relay.host}:${relay.port}`;
  const runs = [
    await startRun(t, { ...shared, ...called, scenario: callee, more: ['-m', '1'] }),
    await startRun(t, { ...shared, scenario: caller, host: CARRIER_HOST, number: NUMBER, target }),
  ];
  return Promise.all(runs.map(async (run) => ({ result: await run.result(), errors: await run.errors() })));
}

t.test(
  'each scenario goes as it says for both sides, though each message is lost the first time',
  async (t) => {
    const scenarios = SCENARIOS.filter(
      ({ callee, digest, command }) => callee !== undefined && digest === undefined && command === undefined,
    );
    const played = await Promise.all(scenarios.map((scenario) => play(t, scenario)));
    for (const [i, { name }] of scenarios.entries()) {
      for (const { result, errors } of played[i] ?? []) {
        t.match(result, { created: 1, successful: 1, failed: 0 }, `${name}: ${errors}`);
      }
    }
  },
);
