import t from 'tap';
import { drawLadder } from '../../../control-plane/src/calls/ladder/draw.js';
import { ladderMessage, type SeenMessage } from '../../../control-plane/src/cli/seen-messages.js';

const drawn = (messages: SeenMessage[]) => drawLadder(messages.map(ladderMessage));

t.test('a ladder is in order of time, each arrow on its side and in its direction', (t) => {
  const lines = drawn([
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

t.test('a transfer is told by name: REFER, its reply, and what each NOTIFY says', (t) => {
  const side = 'carrier';
  const notify = { side, direction: 'out', firstLine: 'NOTIFY sip:a@example.com SIP/2.0' } as const;
  const lines = drawn([
    { at: 0, side, direction: 'in', firstLine: 'REFER sip:c@example.com SIP/2.0', cseq: '11 REFER' },
    { at: 1, side, direction: 'out', firstLine: 'SIP/2.0 202 Accepted', cseq: '11 REFER' },
    { ...notify, at: 2, cseq: '2 NOTIFY', sipfrag: '180 Ringing' },
    { at: 3, side, direction: 'in', firstLine: 'SIP/2.0 200 OK', cseq: '2 NOTIFY' },
    { ...notify, at: 4, cseq: '3 NOTIFY', sipfrag: '480 Temporarily Unavailable' },
    { ...notify, at: 5, cseq: '4 NOTIFY' },
  ]);
  t.same(
    lines.slice(1).map((line) => line.slice(13, 45)),
    [
      '|<---------------------- REFER-|',
      '|-202 Accepted (REFER) ------->|',
      '|-NOTIFY 180 Ringing --------->|',
      '|<------------ 200 OK (NOTIFY)-|',
      '|-NOTIFY 480 Temporarily Un -->|',
      '|-NOTIFY --------------------->|',
    ],
    'a long reason is cut to the width',
  );
  t.end();
});

t.test('a call of which nothing was seen is an empty ladder', (t) => {
  t.equal(drawLadder([]).length, 1);
  t.end();
});
