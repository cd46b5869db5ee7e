import { writeFile } from 'node:fs/promises';
import t from 'tap';
import { eventually } from '../harness/await.js';
import { BrowserPage, noBrowser } from '../harness/browser.js';
import { dial, establish, recordOf, startScene } from '../harness/scene.js';

/** Where pictures of the page are put, for a human to look at. */
const SCREENSHOTS = process.env.STATUS_SCREENSHOTS;

t.test('the status page in a browser', { skip: noBrowser }, async (t) => {
  const scene = await startScene(t);
  const { api } = scene.stack;
  const page = await BrowserPage.open(t, api.tokens.reader ?? '');
  const text = () => page.value('document.body.innerText') as Promise<string>;
  const shows = (what: string, pattern: RegExp) =>
    eventually(what, async () => pattern.test((await text()) ?? ''));
  const fits = async (name: string) => {
    for (const [width, height] of [
      [1280, 900],
      [360, 740],
    ] as const) {
      await page.resize(width, height);
      const [content, window] = await page.value('[document.documentElement.scrollWidth, window.innerWidth]');
      t.ok(content <= window, `${name} fits ${width} px: ${content} of ${window}`);
      t.equal(window, width);
      if (SCREENSHOTS === undefined) continue;
      for (const scheme of ['light', 'dark']) {
        await page.send('Emulation.setEmulatedMedia', {
          features: [{ name: 'prefers-color-scheme', value: scheme }],
        });
        const { data } = await page.send('Page.captureScreenshot', { captureBeyondViewport: true });
        await writeFile(`${SCREENSHOTS}/${name}-${width}-${scheme}.png`, Buffer.from(data, 'base64'));
      }
    }
  };

  await page.goto(`${api.url}/`);
  await shows('the page of a proxy without calls', /No call is up/);
  await shows('the page is live', /live/);
  await fits('idle');
  await page.value('window.here = true');

  const { caller, record } = await establish(scene);
  await shows('the call that is up', /acme\s+inbound\s+0\s+0\s+1\s+1/);
  await establish(scene);
  await fits('calls');
  await api.post(`/v1/calls/${record.id}/hangup`);
  await recordOf(scene.stack, caller.callId, 'ended');
  for (const status of [486, 503, 404]) {
    scene.retell.onInvite = (call) => call.refuse(status);
    const refused = dial(scene);
    await refused.finalResponse();
    await recordOf(scene.stack, refused.callId, 'ended');
  }
  await shows('the calls that failed', /refused the call with 486 \(busy\)/);
  await shows('the ratio of those answered', /SER\s+25\.0 %/);
  await fits('failures');
  t.equal(await page.value('window.here'), true, 'the page was not loaded anew');
});
