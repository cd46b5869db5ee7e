import t from 'tap';
import { chartHtml, escapeHtml, ticksFor } from '../../../sipp-scenarios/load/chart.js';
import { commandLine } from '../../../sipp-scenarios/load/command-line.js';
import { MetricsText } from '../../../sipp-scenarios/load/metrics-text.js';
import { pageHtml, rowsHtml, verdictHtml } from '../../../sipp-scenarios/load/page.js';
import { table } from '../../../sipp-scenarios/load/report.js';
import { dropsByPort } from '../../../sipp-scenarios/load/udp-drops.js';
import { address, number, perSecond, seconds, share } from '../../../sipp-scenarios/load/values.js';

t.test('text cannot become HTML', async (t) => {
  t.equal(escapeHtml(`<a href="x">&'</a>`), '&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;');
  const page = pageHtml('<b>', rowsHtml([['<i>', '</table>']]) + verdictHtml(['<u>']));
  t.notMatch(page, /<b>|<i>|<u>|<\/table>.*<\/table>/);
  t.match(page, /name="viewport"/);
  t.notMatch(page, /<script|<link|https?:/, 'and needs nothing from anywhere');
});

t.test('an axis has round numbers up to the highest value', async (t) => {
  t.same(ticksFor(98), [0, 50, 100]);
  t.same(ticksFor(0.35), [0, 0.1, 0.2, 0.3, 0.4]);
  t.same(ticksFor(0), [0, 1]);
});

t.test(
  'a chart has a gap where there is no value, keeps its peaks, and is none without values',
  async (t) => {
    const points = Array.from({ length: 5000 }, (_, x) => [x, x === 2501 ? 1000 : 1] as const);
    const svg = chartHtml({ title: 'x', unit: '', lines: [{ name: 'a', points }] });
    t.match(svg, />1000</);
    t.ok((svg.match(/L/g) ?? []).length < 500, 'and not every one of many points');
    t.match(svg, / 8\.0L/, 'the highest is drawn');
    const gap = chartHtml({
      ...{ title: 'x', unit: '' },
      lines: [
        {
          name: 'a',
          points: [
            [0, 1],
            [1, null],
            [2, 1],
          ],
        },
      ],
    });
    t.equal(gap.match(/d="M[^"]*M/g)?.length, 1);
    t.equal(chartHtml({ title: 'x', unit: '', lines: [{ name: 'a', points: [[0, null]] }] }), '');
  },
);

t.test('a table is Markdown whose columns are in line', async (t) => {
  t.equal(table([['a', '1']], ['figure', 'value']), '| figure | value |\n| ------ | ----- |\n| a      | 1 |');
});

t.test('times, shares, rates, addresses and numbers are read as they are written', async (t) => {
  t.same(['500ms', '30s', '10m', '2h', '7'].map(seconds), [0.5, 30, 600, 7200, 7]);
  t.equal(share('0.1%'), 0.001);
  t.equal(perSecond('2.5'), 2.5);
  t.same(address('[::1]:5060'), { host: '[::1]', port: 5060 });
  t.equal(number('+14155550100'), '+14155550100');
  for (const wrong of [
    () => seconds('5x'),
    () => seconds('-1'),
    () => share('0.1'),
    () => share('101%'),
    () => perSecond('0'),
    () => perSecond('Infinity'),
    () => address('localhost'),
    () => address('host:70000'),
    () => number('4155550100'),
  ]) {
    t.throws(wrong, /write/);
  }
});

t.test('the command is told without its token and without directories', async (t) => {
  t.equal(
    commandLine(['--token', 's3cret', '--token=s3cret', '--json', '/home/x/y.json', '--mix', 'a b.yaml']),
    "npm run load -- --token ... --token=... --json y.json --mix 'a b.yaml'",
  );
});

t.test('metrics are summed over their series, and told from those with a longer name', async (t) => {
  const metrics = new MetricsText('# HELP x\na{node="1",b="2"} 3\na{node="2",b="2"} 4\na_total 100\nc 5\n');
  t.equal(metrics.sum('a'), 7);
  t.equal(metrics.sum('a', { node: '2' }), 4);
  t.equal(metrics.sum('c'), 5);
  t.equal(metrics.sum('nope'), undefined);
});

t.test('datagrams that were dropped are told by port', async (t) => {
  const text = [
    '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops',
    '   88: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 12',
    '   89: 0200007F:13C5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 2 2 0000000000000000 0',
    '',
  ].join('\n');
  t.same([...dropsByPort(text)], [[5060, 12]]);
});
