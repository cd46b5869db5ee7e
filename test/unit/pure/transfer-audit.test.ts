import Fastify from 'fastify';
import { pino } from 'pino';
import t from 'tap';
import type { CallStore } from '../../../control-plane/src/calls/store.js';
import { TransferError } from '../../../control-plane/src/calls/transfer/errors.js';
import type { Transfer } from '../../../control-plane/src/calls/transfer/transfer.js';
import type { Transfers } from '../../../control-plane/src/calls/transfer/transfers.js';
import { authPlugin } from '../../../control-plane/src/http/plugins/auth.js';
import { errorsPlugin } from '../../../control-plane/src/http/plugins/errors.js';
import { transferRoutes } from '../../../control-plane/src/http/routes/transfers.js';

const TRANSFER: Transfer = {
  id: 'x1',
  source: 'api',
  by: 'ops',
  to: '+14155550188',
  refer_to: 'sip:+14155550188@198.51.100.10',
  on_failure: 'resume',
  requested_at: 1000,
  timeout_s: 60,
  warnings: [],
  accepted_at: undefined,
  trying_at: undefined,
  ringing_at: undefined,
  end: undefined,
  told: undefined,
};

t.test('each command leaves one line with the name of its token, and no number', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const app = Fastify({ loggerInstance: logger, disableRequestLogging: true });
  t.teardown(() => app.close());
  const token = 'secret-of-the-operators';
  await app.register(errorsPlugin);
  await app.register(authPlugin, { tokens: [{ name: 'ops', token, scopes: ['control'] }] });
  const transfers = {
    begin: async (_id: string, { to }: { to: string }) => {
      if (to !== TRANSFER.to) throw new TransferError('not_allowed', 'no');
      return TRANSFER;
    },
  } as unknown as Transfers;
  await app.register(transferRoutes, { store: {} as CallStore, transfers });
  const post = (to: string) =>
    app.inject({
      method: 'POST',
      url: '/v1/calls/id1/transfers',
      headers: { authorization: `Bearer ${token}` },
      payload: { to },
    });
  t.equal((await post(TRANSFER.to)).statusCode, 202);
  t.equal((await post('+19005550188')).statusCode, 403);
  t.match(lines, [
    { command: 'transfer', by: 'ops', call_id: 'id1', transfer_id: 'x1', outcome: 'begun' },
    { command: 'transfer', by: 'ops', call_id: 'id1', outcome: 'refused', code: 'not_allowed' },
  ]);
  t.equal(lines.length, 2);
  t.notMatch(JSON.stringify(lines), /5550188/);
});
