import t from 'tap';
import { readReason } from '../../../control-plane/src/kamailio/reason-header.js';

t.test('the Q.850 cause and text of a Reason header, however it is written', (t) => {
  const cases: [header: string, cause: number | undefined, text: string | undefined][] = [
    ['Q.850;cause=16', 16, undefined],
    ['SIP;cause=486, Q.850;cause=17;text="User busy"', 17, 'User busy'],
    ['Q.850;cause=17;text="User busy",SIP;cause=486;text="Busy Here"', 17, 'User busy'],
    ['  q.850 ;  Cause = 34 ; TEXT = "No circuit" ', 34, 'No circuit'],
    ['Q.850;text="a, b; cause=1, \\"c\\" \\\\";cause=31', 31, 'a, b; cause=1, "c" \\'],
    ['SIP;text="Q.850;cause=99"', undefined, 'Q.850;cause=99'],
    ['Q.850;cause=16;text=clearing', 16, 'clearing'],
    ['Q.850;cause="16"', 16, undefined],
    ['SIP;cause=200;text="done";x=1, Q.850;cause=16;text=""', 16, 'done'],
    ['Q.850;cause=0', 0, undefined],
    ['Q.850;cause=127', 127, undefined],
    ['Q.850;cause=17, Q.850;cause=16', 17, undefined],
    ['SIP;cause=480;text="first",FreeSWITCH;text="second"', undefined, 'first'],
  ];
  for (const [header, cause, text] of cases) {
    const { q850_cause, text: read } = readReason(header);
    t.same([q850_cause, read], [cause, text], header);
  }
  t.end();
});

t.test('what is cut off, garbled or out of range is left out', (t) => {
  const cases: [header: string, cause: number | undefined, text: string | undefined][] = [
    ['', undefined, undefined],
    [',;,;=', undefined, undefined],
    ['Q.850', undefined, undefined],
    ['Q.850;cause', undefined, undefined],
    ['Q.850;cause=128', undefined, undefined],
    ['Q.850;cause=-1', undefined, undefined],
    ['Q.850;cause=1e1', undefined, undefined],
    ['Q.850;cause=seventeen;text="x"', undefined, 'x'],
    ['Q.850;cause=17;text="User bu', 17, 'User bu'],
    ['Q.850;cause=17;text="User\\', 17, 'User'],
    ['Q.850;cause=17;text="', 17, undefined],
    ['"Q.850;cause=17', undefined, undefined],
  ];
  for (const [header, cause, text] of cases) {
    const { q850_cause, text: read } = readReason(header);
    t.same([q850_cause, read], [cause, text], header);
  }
  t.end();
});
