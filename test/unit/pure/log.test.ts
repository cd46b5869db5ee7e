import { Writable } from 'node:stream';
import t from 'tap';
import { createLogger } from '../../../control-plane/src/log.js';

t.test('tokens, passwords and authorization headers never reach the log', (t) => {
  let written = '';
  const sink = new Writable({
    write(chunk, _encoding, done) {
      written += chunk;
      done();
    },
  });
  const log = createLogger('info', 'masked', sink);
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

t.test('telephone numbers are masked, other figures are not', (t) => {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const told = {
    number: '+14155550123',
    url: '/v1/calls?number=%2B14155550123&carrier=acme',
    to: 'sip:14155550177@198.51.100.10:5060',
    from: '4155550199',
    text: 'transfer to tel:+14155550188 refused',
    entry: '1795475973595-0',
    responseTime: 12.345678901,
    pid: 1234567,
  };
  createLogger('info', 'masked', { write }).info(told);
  createLogger('info', 'full', { write }).info(told);
  t.match(JSON.parse(lines[0] as string), {
    number: '+1415***23',
    url: '/v1/calls?number=%2B1415***23&carrier=acme',
    to: 'sip:1415***77@198.51.100.10:5060',
    from: '4155***99',
    text: 'transfer to tel:+1415***88 refused',
    entry: '1795475973595-0',
    responseTime: 12.345678901,
    pid: 1234567,
  });
  t.match(JSON.parse(lines[1] as string), told);
  t.end();
});
