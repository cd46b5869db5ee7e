import t from 'tap';
import { establish, startScene } from '../harness/scene.js';

t.test('two replicas that are asked at once to hang up the same call send one BYE to each leg', async (t) => {
  const scene = await startScene(t, { replicas: 2 });
  const { apis } = scene.stack;
  for (let round = 1; round <= 5; round++) {
    const { caller, callee, record } = await establish(scene);
    const replies = await Promise.all(apis.map((api) => api.post(`/v1/calls/${record.id}/hangup`)));
    const [one, two] = replies.map(({ status, body }) => ({
      status,
      outcome: body.outcome,
      legs: body.legs,
    }));
    t.match(one, { status: 200, outcome: /^(already_)?ended$/ });
    t.match(two, { status: 200, outcome: /^(already_)?ended$/ });
    t.same(one?.legs, two?.legs, 'both answers agree on what the wire said');
    t.match(one?.legs, [
      { method: 'BYE', status: 200 },
      { method: 'BYE', status: 200 },
    ]);
    await caller.next('BYE');
    await callee.next('BYE');
    t.equal(scene.carrier.count('BYE'), round);
    t.equal(scene.retell.count('BYE'), round);
  }
});

t.test('the call is the same to both', async (t) => {
  const scene = await startScene(t, { replicas: 2 });
  const { apis } = scene.stack;
  const { record } = await establish(scene);
  const [, second] = apis;
  t.match(await second?.get(`/v1/calls/${record.id}`), { status: 200, body: { state: 'answered' } });
  t.match(await second?.post(`/v1/calls/${record.id}/hangup`), { status: 200, body: { outcome: 'ended' } });
  t.match(await apis[0].post(`/v1/calls/${record.id}/hangup`), {
    status: 200,
    body: { outcome: 'already_ended' },
  });
});
