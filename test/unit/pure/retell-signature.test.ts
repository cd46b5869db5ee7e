import { createHmac } from 'node:crypto';
import { sign, verify } from 'retell-sdk';
import t from 'tap';
import { isSignedWith, isStale, parseSignature } from '../../../control-plane/src/retell/signature.js';

const KEY = 'key_test_secret_0123';
const NOW = 1_780_012_672_105;
const WINDOW_MS = 300_000;

/** As the routes check it. */
function isGood(body: string, key: string, header: string): boolean {
  const signature = parseSignature(header);
  return signature !== undefined && !isStale(signature) && isSignedWith(body, key, signature);
}

/** Signs as retell-sdk does, and writes the time as given. */
function signed(body: string, key: string, time: string): string {
  return `v=${time},d=${createHmac('sha256', key)
    .update(body + Number(time))
    .digest('hex')}`;
}

t.beforeEach((t) => {
  const now = Date.now;
  Date.now = () => NOW;
  t.teardown(() => {
    Date.now = now;
  });
});

t.test('a signature known from elsewhere is good (retell.md 5.3)', async (t) => {
  const body = '{"event":"call_started","call":{"call_id":"call_test"}}';
  const header = `v=${NOW},d=917fe1b812be68628a11544c4c89dfbf5c66aa5682be05fa84478bb1572ed3e9`;
  t.equal(isGood(body, 'key_test_secret', header), true);
});

t.test("every body and key has the answer of retell-sdk's verify", async (t) => {
  const bodies = ['', '{}', 'é', '{"text":"日本語 🎉"}', '\ud83d', '\u0000', '\r\n', 'x'.repeat(1024 * 1024)];
  const keys = [KEY, 'clé', '鍵🔑', 'k'.repeat(200)];
  for (const [i, body] of bodies.entries()) {
    for (const key of keys) {
      const header = await sign(body, key);
      t.equal(isGood(body, key, header), true, `body ${i}, key ${key.slice(0, 20)}`);
      t.equal(await verify(body, key, header), true);
      for (const [otherBody, otherKey] of [
        [`${body} `, key],
        [body, `${key} `],
      ] as const) {
        t.equal(isGood(otherBody, otherKey, header), false);
        t.equal(await verify(otherBody, otherKey, header), false);
      }
    }
  }
});

t.test('every form and time of the header has the same answer too', async (t) => {
  const body = '{"event":"call_ended"}';
  const good = signed(body, KEY, String(NOW));
  const [time = '', digest = ''] = good.split(',');
  const times = [0, 1, -1, WINDOW_MS, WINDOW_MS + 1, -WINDOW_MS, -WINDOW_MS - 1].map((ms) =>
    String(NOW + ms),
  );
  const headers = [
    ...[...times, `00${NOW}`, '9007199254740993', '9'.repeat(400)].map((at) => signed(body, KEY, at)),
    ...[
      good.toUpperCase(),
      `${time},${digest.toUpperCase()}`,
      ` ${good}`,
      `${good}\n`,
      `${good},`,
      `${good}0`,
    ],
    ...[
      good.slice(0, -1),
      good.slice(0, -2),
      `${time},d=`,
      `${digest},${time}`,
      `v=,${digest}`,
      `v=-1,${digest}`,
    ],
    ...[good.replace('v=', 'v=+'), good.replace(',', ', '), good.replace(/.$/, 'g'), `v=1e3,${digest}`, ''],
  ];
  for (const header of headers) {
    const expected = await verify(body, KEY, header);
    t.equal(isGood(body, KEY, header), expected, JSON.stringify(header.slice(0, 100)));
  }
  t.equal(headers.filter((header) => isGood(body, KEY, header)).length, 8, 'some of them are good');
});
