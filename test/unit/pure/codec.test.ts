import t from 'tap';
import { codecOf } from '../../../control-plane/src/kamailio/codec.js';

t.test('a static payload type needs no rtpmap', (t) => {
  for (const [format, codec] of [
    ['0', 'PCMU'],
    ['3', 'GSM'],
    ['4', 'G723'],
    ['8', 'PCMA'],
    ['9', 'G722'],
    ['15', 'G728'],
    ['18', 'G729'],
  ] as const) {
    t.equal(codecOf(`m=audio 40000 RTP/AVP ${format} 101\r`, ''), codec, format);
  }
  t.equal(codecOf('m=audio 40000/2 UDP/TLS/RTP/SAVPF 8', 'a=rtpmap:101 telephone-event/8000'), 'PCMA');
  t.end();
});

t.test('a dynamic one is named by the rtpmap of the same payload type', (t) => {
  const audio = 'm=audio 40000 RTP/AVP 96 101\r';
  t.equal(codecOf(audio, 'a=rtpmap:96 opus/48000/2\r'), 'OPUS');
  t.equal(codecOf(audio, 'a=rtpmap:96 AMR-WB/16000'), 'AMR-WB');
  t.equal(codecOf(audio, 'a=rtpmap:101 telephone-event/8000'), undefined);
  t.equal(codecOf(audio, 'a=rtpmap:9 G722/8000'), undefined);
  t.equal(codecOf(audio, ''), undefined);
  t.end();
});

t.test('a refused stream, and what is no SDP, have no codec', (t) => {
  for (const [audio, rtpmap] of [
    ['m=audio 0 RTP/AVP 0', 'a=rtpmap:0 PCMU/8000'],
    ['', 'a=rtpmap:0 PCMU/8000'],
    ['', ''],
    ['m=audio', ''],
    ['m=audio 40000 RTP/AVP', ''],
    ['m=audio 40000 RTP/AVP 0x', ''],
    ['m=audio 40000 RTP/AVP 0000', ''],
    ['m=audio x RTP/AVP 0', ''],
    ['m=audio 40000 RTP/AVP 96', 'a=rtpmap:96 <script>/8000'],
    ['m=audio 40000 RTP/AVP 96', `a=rtpmap:96 ${'x'.repeat(33)}/8000`],
    ['<null>', '<null>'],
  ] as const) {
    t.equal(codecOf(audio, rtpmap), undefined, audio);
  }
  t.end();
});
