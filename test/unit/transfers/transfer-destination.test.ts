import t from 'tap';
import { parseDestination, refusalOf } from '../../../control-plane/src/calls/transfer/destination.js';
import { TransferError } from '../../../control-plane/src/calls/transfer/errors.js';
import type { Config } from '../../../control-plane/src/config/schema.js';
import { DESTINATIONS, DESTINATIONS_OF_LISTED, LISTED, LISTS } from '../../harness/transfer-destinations.js';
import { configOf as baseConfig } from '../routing-fixture.js';

function configOf(transfers: Record<string, unknown>, numbers?: Record<string, unknown>[]): Config {
  return baseConfig({ transfers, ...(numbers && { numbers }) });
}

/** What becomes of a destination: its kind, or the sentence that refuses it. */
function verdict(to: string, config: Config, who: Parameters<typeof refusalOf>[2] = {}): string {
  try {
    const destination = parseDestination(to);
    return refusalOf(destination, config, who) ?? destination.kind;
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    return error.message;
  }
}

for (const [whose, rows, who] of [
  ['', DESTINATIONS, {}],
  [' of a number with a list', DESTINATIONS_OF_LISTED, { number: LISTED.number }],
] as const) {
  t.test(`each destination${whose} is a number, a URI, or refused`, (t) => {
    const config = configOf(LISTS, [{ number: '+14155550100' }, LISTED]);
    for (const { to, is, as } of rows) {
      const found = verdict(to, config, who);
      if (is === 'no') {
        t.match(found, /^(to |Transfers |The list )/, to);
        continue;
      }
      t.equal(found, is, to);
      if (found !== is) continue;
      const destination = parseDestination(to);
      t.equal(destination.kind === 'number' ? destination.number : destination.uri, as, to);
    }
    t.end();
  });
}

t.test('a number as such is E.164 with +', (t) => {
  const config = configOf({});
  t.equal(verdict('+14155550188', config), 'number');
  t.match(verdict('14155550188', config), /no \+ and country code/);
  t.match(verdict('200@pbx.example.com', config), /no scheme/);
  t.match(verdict('+1 415 555 0188', config), /a space/);
  t.match(verdict('+14155550188\r\nX: y', config), /line end/);
  t.match(verdict('<tel:+14155550188>', config), /brackets/);
  t.match(verdict('', config), /is empty/);
  t.end();
});

t.test('the longest prefix decides, deny where both have it', (t) => {
  const rows: [allow: string[], deny: string[], to: string, allowed: boolean][] = [
    [['+'], [], '+14155550188', true],
    [[], [], '+14155550188', false],
    [['+1'], [], '+442079460123', false],
    [['+1'], ['+1415'], '+14155550188', false],
    [['+1', '+14155'], ['+1415'], '+14155550188', true],
    [['+1415'], ['+1415'], '+14155550188', false],
    [['+1'], ['+'], '+14155550188', true],
  ];
  for (const [allow, deny, to, allowed] of rows) {
    const found = verdict(to, configOf({ allow, deny }));
    t.equal(found === 'number', allowed, `${allow} ${deny}: ${found}`);
  }
  t.end();
});

t.test('premium numbers are denied unless the configuration says otherwise', (t) => {
  t.match(verdict('+19005550188', configOf({})), /denied/);
  t.match(verdict('+19005550188', configOf({ allow: ['+1'] })), /denied/);
  t.equal(verdict('+19005550188', configOf({ allow: ['+', '+1900'] })), 'number');
  t.equal(verdict('+19005550188', configOf({ premium: 'allowed' })), 'number');
  t.end();
});

t.test('lists of a number and of an agent only ever narrow', (t) => {
  const config = configOf(
    {
      hosts: ['pbx.example.com'],
      deny: ['+1809'],
      agents: [{ agent_id: 'agent_a', allow: ['+1415', '+1809'] }],
    },
    [{ number: '+14155550100', transfer_allow: ['+1', 'PBX.example.com'] }],
  );
  const number = '+14155550100';
  t.equal(verdict('+12125550188', config, { number }), 'number');
  t.match(verdict('+442079460123', config, { number }), /list of calls of this number/);
  t.equal(verdict('sip:200@pbx.example.com', config, { number }), 'uri');
  t.equal(verdict('+14155550188', config, { number, agentId: 'agent_a' }), 'number');
  t.match(verdict('+12125550188', config, { number, agentId: 'agent_a' }), /list of this agent/);
  t.match(verdict('sip:200@pbx.example.com', config, { agentId: 'agent_a' }), /list of this agent/);
  t.match(verdict('+18095550188', config, { number, agentId: 'agent_a' }), /denied/);
  t.equal(verdict('+442079460123', config, { agentId: 'agent_b' }), 'number', 'one without a list');
  t.end();
});
