import t from 'tap';
import { Gathering } from '../../../control-plane/src/kamailio/gathering.js';

t.test('few events are handled as they come', (t) => {
  const gathering = new Gathering();
  for (let ms = 0; ms < 1000; ms += 10) t.equal(gathering.restMs(9, ms), 0);
  t.end();
});

t.test('many wait for the end of the window, each window anew', (t) => {
  const gathering = new Gathering();
  t.equal(gathering.restMs(60, 1000), 0);
  t.equal(gathering.restMs(60, 1030), 70);
  t.equal(gathering.restMs(500, 1101), 100, 'what gathered is the next one’s');
  t.equal(gathering.restMs(20, 1202), 0);
  t.end();
});
