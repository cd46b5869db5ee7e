import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import {
  GraphDrawStyle,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  SortOrder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
} from '@grafana/grafana-foundation-sdk/common';
import {
  FieldColorBuilder,
  FieldColorModeId,
  type Panel,
  type Threshold as Step,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard';
import * as heatmap from '@grafana/grafana-foundation-sdk/heatmap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import type { Query } from './queries.js';
import type { Threshold } from './thresholds.js';

export const DATASOURCE = { type: 'prometheus', uid: '$' + '{datasource}' };

/** `width` is in 24ths of the page. */
interface Common {
  title: string;
  /** What it means, and what is bad. */
  description: string;
  unit: string;
  width?: number;
  height?: number;
  threshold?: Threshold;
  /** The shortest step, and with it the shortest window of a rate: for shares, which mean little over few calls. */
  step?: string;
}

interface Queried extends Common {
  queries: Query[];
}

interface Lines extends Queried {
  stacked?: boolean;
  /** May be below 0: without it the axis begins there. */
  signed?: boolean;
  max?: number;
}

interface Column {
  name: string;
  expr: string;
  unit: string;
  threshold?: Threshold;
}

type AnyPanel = timeseries.PanelBuilder | stat.PanelBuilder | table.PanelBuilder | heatmap.PanelBuilder;

/** Lines over time. A threshold is drawn as a dashed line; what was a week before is grey. */
export function lines(spec: Lines): Builder<Panel> {
  const { queries, threshold, stacked = false, signed = false, max } = spec;
  const panel = framed(new timeseries.PanelBuilder(), spec, 12, 8)
    .targets(queries.map((query, index) => target(query, index)))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.PaletteClassic))
    .lineWidth(stacked ? 0 : 1)
    .fillOpacity(stacked ? 60 : 8)
    .drawStyle(GraphDrawStyle.Line)
    .showPoints(VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .overrideByRegexp('/week before$/', [
      { id: 'color', value: { mode: 'fixed', fixedColor: 'gray' } },
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [6, 6] } },
      { id: 'custom.fillOpacity', value: 0 },
    ]);
  if (!signed) panel.min(0);
  if (max !== undefined) panel.max(max);
  if (stacked) panel.stacking(new common.StackingConfigBuilder().mode(StackingMode.Normal).group('A'));
  if (threshold) {
    panel
      .thresholds(stepsOf(threshold))
      .thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
  }
  return panel;
}

interface Figure extends Queried {
  /** Only the number, not its course: for what is counted over all the time shown. */
  instant?: boolean;
}

/** One number for now, or one for each series, over its course. */
export function figure(spec: Figure): Builder<Panel> {
  const { queries, threshold, instant = false } = spec;
  return framed(new stat.PanelBuilder(), spec, 4, 4)
    .targets(queries.map((query, index) => (instant ? target(query, index).instant() : target(query, index))))
    .thresholds(stepsOf(threshold))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .noValue('–')
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(instant ? common.BigValueGraphMode.None : common.BigValueGraphMode.Area)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']));
}

/** One row for each set of labels, one column for each query. */
export function grid(spec: Omit<Common, 'unit'> & { columns: Column[]; none: string }): Builder<Panel> {
  const { columns, none } = spec;
  const panel = framed(new table.PanelBuilder(), { ...spec, unit: columns[0]?.unit ?? 'short' }, 24, 8)
    .targets(
      columns.map(({ expr }, index) =>
        target({ expr, legend: '' }, index).instant().format(PromQueryFormat.Table),
      ),
    )
    .noValue(none)
    .withTransformation({ id: 'merge', options: {} })
    .withTransformation({
      id: 'organize',
      options: {
        excludeByName: { Time: true },
        renameByName: Object.fromEntries(
          columns.map(({ name }, index) => [columns.length === 1 ? 'Value' : `Value #${refId(index)}`, name]),
        ),
      },
    });
  for (const { name, unit, threshold } of columns) {
    const colour = threshold
      ? [
          { id: 'thresholds', value: { mode: 'absolute', steps: steps(threshold) } },
          { id: 'color', value: { mode: 'thresholds' } },
          { id: 'custom.cellOptions', value: { type: 'color-text' } },
        ]
      : [];
    panel.overrideByName(name, [{ id: 'unit', value: unit }, ...colour]);
  }
  return panel;
}

/** How a histogram's buckets fill over time: shows what a quantile hides, such as two heaps. */
export function heat(spec: Common & { expr: string }): Builder<Panel> {
  return framed(new heatmap.PanelBuilder(), spec, 12, 8)
    .targets([target({ expr: spec.expr, legend: '{{le}}' }, 0).format(PromQueryFormat.Heatmap)])
    .calculate(false)
    .yAxis(new heatmap.YAxisConfigBuilder().unit(spec.unit))
    .color(
      new heatmap.HeatmapColorOptionsBuilder()
        .mode(heatmap.HeatmapColorMode.Scheme)
        .scheme('Oranges')
        .steps(64),
    );
}

function framed<P extends AnyPanel>(panel: P, spec: Common, width: number, height: number): P {
  panel
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .unit(spec.unit)
    .span(spec.width ?? width)
    .height(spec.height ?? height);
  if (spec.step) panel.interval(spec.step);
  return panel;
}

function target({ expr, legend }: Query, index: number): DataqueryBuilder {
  return new DataqueryBuilder().refId(refId(index)).datasource(DATASOURCE).expr(expr).legendFormat(legend);
}

function refId(index: number): string {
  return String.fromCharCode('A'.charCodeAt(0) + index);
}

function stepsOf(threshold?: Threshold): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps(threshold));
}

/** The first step is from minus infinity on; each goes up to the next. */
function steps(threshold?: Threshold): Step[] {
  if (!threshold) return [{ value: null, color: 'blue' }];
  const { worse, warning, critical } = threshold;
  const levels = [
    { from: warning, color: 'yellow' },
    { from: critical, color: 'red' },
  ].flatMap(({ from, color }) => (from === undefined ? [] : [{ from, color }]));
  if (worse === 'above')
    return [{ value: null, color: 'green' }, ...levels.map(({ from, color }) => ({ value: from, color }))];
  // Below a bound its colour, up to the next bound; above the last one all is well.
  const rising = levels.reverse();
  return [
    ...rising.map(({ color }, index) => ({ value: rising[index - 1]?.from ?? null, color })),
    { value: rising.at(-1)?.from ?? null, color: 'green' },
  ];
}
