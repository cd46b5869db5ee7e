import { Writable } from 'node:stream';
import t from 'tap';
import { createLogger } from '../../control-plane/src/log.js';

t.test('tokens, passwords and authorization headers never reach the log', (t) => {
  let written = '';
  const sink = new Writable({
    write(chunk, _encoding, done) {
      written += chunk;
      done();
    },
  });
  const log = createLogger('info', sink);
  const secret = 'very-secret-value';
  log.info({
    token: secret,
    node: { rpc_token: secret },
    redis: { password: secret },
    retell: { api_key: secret },
  });
  log.info({ req: { headers: { authorization: `Bearer ${secret}` } }, call_id: 'id1' }, 'hangup');
  t.notMatch(written, secret);
  t.match(written, '"call_id":"id1"');
  t.match(written, '[redacted]');
  t.end();
});
