import t from 'tap';
import { dial, recordOf, startScene } from '../../harness/scene.js';
import { sdp } from '../../harness/sdp.js';
import type { AnswerOptions } from '../../harness/sip-incoming-call.js';

const session = ['v=0', 'o=- 1 1 IN IP4 127.0.0.3', 's=-', 'c=IN IP4 127.0.0.3', 't=0 0'];
const body = (...media: string[]) => [...session, ...media, ''].join('\r\n');
const multipart = ['--b', 'Content-Type: application/sdp', '', body('m=audio 4000 RTP/AVP 0'), '--b--', ''];

const ANSWERS: [name: string, answer: AnswerOptions, codec: string | null][] = [
  ['PCMU', { body: sdp('127.0.0.3', 4000) }, 'PCMU'],
  ['PCMA without rtpmap', { body: body('m=audio 4000 RTP/SAVP 8 0') }, 'PCMA'],
  [
    'a dynamic payload type',
    {
      body: body(
        'm=audio 4000 RTP/AVP 96 101',
        'a=rtpmap:96 opus/48000/2',
        'a=rtpmap:101 telephone-event/8000',
      ),
    },
    'OPUS',
  ],
  [
    'an rtpmap of another payload type',
    { body: body('m=audio 4000 RTP/AVP 96 101', 'a=rtpmap:101 telephone-event/8000') },
    null,
  ],
  ['audio behind video', { body: body('m=video 0 RTP/AVP 31', 'm=audio 4000 RTP/AVP 18') }, 'G729'],
  ['a refused stream', { body: body('m=audio 0 RTP/AVP 0') }, null],
  ['no audio', { body: body('m=image 4000 udptl t38') }, null],
  ['no body', { body: '' }, null],
  ['an audio line of many bytes', { body: body(`m=audio 4000 RTP/AVP 0${' 101'.repeat(200)}`) }, null],
  ['garbage', { body: 'm=audio "}],%s%n\\ \u0001 é\r\n' }, null],
  [
    'several parts',
    { body: multipart.join('\r\n'), headers: [['Content-Type', 'multipart/mixed;boundary=b']] },
    null,
  ],
];

t.test("the record names the codec of the 200's audio, where its SDP tells it", async (t) => {
  const scene = await startScene(t);
  for (const [name, answer, codec] of ANSWERS) {
    await t.test(name, async (t) => {
      scene.retell.onInvite = (call) => call.answer(answer);
      const caller = dial(scene);
      await caller.answered();
      t.equal((await recordOf(scene.stack, caller.callId, 'answered')).codec, codec);
      t.equal((await caller.bye()).status, 200);
    });
  }
  t.match((await scene.stack.api.get('/metrics')).body, 'retell_proxy_events_unreadable_total 0');
  t.same(
    scene.stack.nodes[0].log.filter((line) => / (ERROR|CRITICAL|BUG): .*(<core>|pv \[|dialog \[)/.test(line)),
    [],
    'none of it is an error of Kamailio',
  );
});
