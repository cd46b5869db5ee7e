import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Erasure } from '../../../control-plane/src/calls/erasure.js';
import { RecordsFile } from '../../../control-plane/src/calls/records-file.js';
import { eventually } from '../../harness/await.js';
import { ANSWERED, recordsScene } from '../records-fixture.js';

const ENDED = { ...ANSWERED, ended_at: '1790000002000', ended_by: 'carrier' };

async function start(t: Test) {
  const scene = await recordsScene(t);
  const directory = join(t.testdir(), 'records');
  const warnings: string[] = [];
  const writing = () => {
    const file = new RecordsFile({
      ...{ redis: scene.redis, directory, fileDays: 30, pollMs: 5 },
      warn: (_detail, message) => warnings.push(message),
    });
    file.start();
    t.teardown(() => file.stop());
    return file;
  };
  /** A call that has ended, with its detail record. */
  const end = async () => {
    const id = await scene.merge(ENDED);
    await scene.writeDue();
    return id;
  };
  const path = join(directory, `records-${new Date().toISOString().slice(0, 10)}.jsonl`);
  const idsInFile = async () =>
    (await readFile(path, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).record.id);
  const written = (ids: string[]) =>
    eventually(`${ids.length} lines`, async () => (await idsInFile().catch(() => [])).length >= ids.length);
  return { ...scene, directory, path, warnings, writing, end, idsInFile, written };
}

t.test('each detail record is one line of the file of its day', async (t) => {
  const s = await start(t);
  const ids = [await s.end(), await s.end()];
  s.writing();
  await s.written(ids);
  ids.push(await s.end());
  await s.written(ids);
  t.same(await s.idsInFile(), ids);
  const [line] = (await readFile(s.path, 'utf8')).split('\n');
  t.match(JSON.parse(line as string), { entry: /^\d+-\d+$/, version: 1, record: { ended_by: 'carrier' } });
});

t.test('after a crash amid a line nothing is missing and nothing is there twice', async (t) => {
  const s = await start(t);
  const ids = [await s.end(), await s.end()];
  const first = s.writing();
  await s.written(ids);
  await first.stop();
  await appendFile(s.path, '{"entry":"1790000000000-0","version":1,"rec');
  ids.push(await s.end());
  s.writing();
  await s.written(ids);
  t.same(await s.idsInFile(), ids);
});

t.test('the lines of a call whose data is erased are taken out', async (t) => {
  const s = await start(t);
  const ids = [await s.end(), await s.end(), await s.end()];
  s.writing();
  await s.written(ids);
  await new Erasure(s.redis).erase(ids[1] as string);
  await eventually('its line is gone', async () => (await s.idsInFile()).length === 2);
  t.same(await s.idsInFile(), [ids[0], ids[2]]);
});

t.test('files that are too old are removed, others let be', async (t) => {
  const s = await start(t);
  const first = s.writing();
  await s.written([await s.end()]);
  await first.stop();
  for (const name of ['records-2020-01-01.jsonl', 'notes.txt']) await writeFile(join(s.directory, name), '');
  s.writing();
  await s.end();
  await eventually(
    'it is gone',
    async () => !(await readdir(s.directory)).includes('records-2020-01-01.jsonl'),
  );
  t.match((await readdir(s.directory)).sort(), ['notes.txt', /^records-2/]);
});

t.test('a directory that cannot be written is told of, and tried again', async (t) => {
  const s = await start(t);
  await writeFile(s.directory, 'a file in its place');
  s.writing();
  await eventually('it is told', () => s.warnings.length > 0);
  t.match(s.warnings, [/not written to their files/]);
});
