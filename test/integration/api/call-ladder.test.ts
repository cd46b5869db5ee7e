import t from 'tap';
import { eventually } from '../../harness/await.js';
import { dial, establish, recordOf, startScene } from '../../harness/scene.js';

t.test('the ladder of a call shows what went over the wire, as text and for Mermaid', async (t) => {
  const scene = await startScene(t);
  const { api } = scene.stack;
  const { caller, record } = await establish(scene);
  await api.post(`/v1/calls/${record.id}/hangup`);
  await recordOf(scene.stack, caller.callId, 'ended');
  const ladder = await eventually('both answers to the BYEs', async () => {
    const reply = await api.get(`/v1/calls/${record.id}/ladder`, 'reader');
    return reply.body.split('200 (BYE)').length === 3 && reply;
  });
  t.match(ladder.headers['content-type'], 'text/plain; charset=utf-8');
  const gateway = `127.0.0.3:${scene.retell.port}`;
  const rows = ladder.body
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line: string) => line.replace(/^ *~?\d+\.\d{3} s {2}/, ''));
  const row = (left: string, right: string) => `|${left.padEnd(40)}|${right.padEnd(40)}|`;
  t.same(rows.slice(0, 7), [
    row('-INVITE ------------------------------->', ''),
    row('', `-INVITE ${gateway} ${'-'.repeat(30 - gateway.length)}>`),
    row('', '<------------------------- 180 (INVITE)-'),
    row('<------------------------- 180 (INVITE)-', ''),
    row('', '<------------------------- 200 (INVITE)-'),
    row('<------------------------- 200 (INVITE)-', ''),
    '|  hangup by command of all',
  ]);
  t.same(rows.slice(7).sort(), [
    row('', '-BYE ---------------------------------->'),
    row('', '<---------------------------- 200 (BYE)-'),
    row('-200 (BYE) ---------------------------->', ''),
    row('<---------------------------------- BYE-', ''),
  ]);
  const byCallId = `/v1/calls/sip:${encodeURIComponent(caller.callId)}/ladder?format=mermaid`;
  const mermaid = (await api.get(byCallId)).body;
  t.match(mermaid, /^sequenceDiagram\n {4}participant carrier/);
  t.match(mermaid, /proxy->>carrier: \d+\.\d{3} s BYE\n/);
});

t.test('a refused call has a ladder; no call, token or such format has none', async (t) => {
  const scene = await startScene(t);
  const { api } = scene.stack;
  scene.retell.onInvite = (call) => call.refuse(486);
  const caller = dial(scene);
  await caller.finalResponse();
  const { id } = await recordOf(scene.stack, caller.callId, 'ended');
  const { body } = await api.get(`/v1/calls/${id}/ladder`);
  t.match(body, /\|<-+ 486 \(INVITE\)-\|\n.*\|<-+ 486 \(INVITE\)-\|/, 'the refusal, and what the caller got');
  t.match((await api.get('/v1/calls/unknown/ladder')).body, { code: 'call_not_found' });
  t.match((await api.get(`/v1/calls/${id}/ladder?format=svg`)).body, { code: 'validation_failed' });
  t.equal((await api.get(`/v1/calls/${id}/ladder`, 'none')).status, 401);
});
