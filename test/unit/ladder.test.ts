import t from 'tap';
import { drawLadder } from '../../control-plane/src/cli/ladder.js';

t.test('a ladder is in order of time, each arrow on its side and in its direction', (t) => {
  const lines = drawLadder([
    {
      at: 1005,
      side: 'retell',
      direction: 'in',
      firstLine: 'INVITE sip:+14155550100@example.com SIP/2.0',
      cseq: '1 INVITE',
    },
    {
      at: 1000,
      side: 'carrier',
      direction: 'out',
      firstLine: 'INVITE sip:+14155550100@example.com SIP/2.0',
      cseq: '1 INVITE',
    },
    { at: 1500, side: 'retell', direction: 'out', firstLine: 'SIP/2.0 200 OK', cseq: '1 INVITE' },
    { at: 1501, side: 'carrier', direction: 'in', firstLine: 'SIP/2.0 200 OK', cseq: '1 INVITE' },
  ]);
  t.same(lines, [
    '          carrier                         proxy                          Retell',
    '    0.000 s  |-INVITE --------------------->|                              |',
    '    0.005 s  |                              |-INVITE --------------------->|',
    '    0.500 s  |                              |<------------ 200 OK (INVITE)-|',
    '    0.501 s  |<------------ 200 OK (INVITE)-|                              |',
  ]);
  t.end();
});

t.test('a call of which nothing was seen is an empty ladder', (t) => {
  t.equal(drawLadder([]).length, 1);
  t.end();
});
