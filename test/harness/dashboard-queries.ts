import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
import { DASHBOARDS } from '../../monitoring/grafana/src/dashboards.js';

/** What of a panel the tests ask. */
export interface PanelOf {
  title: string;
  description: string;
  unit: string;
  targets: Dataquery[];
  gridPos: { x: number; y: number; w: number; h: number };
}

export interface AskedQuery {
  /** Where it stands, for messages. */
  place: string;
  expr: string;
  legend: string;
}

/** The panels of a dashboard that show something: rows are headings. */
export function panelsOf(dashboard: Dashboard): PanelOf[] {
  return (dashboard.panels ?? []).flatMap((panel) => {
    if (panel.type === 'row') return [];
    const { title = '', description = '', targets = [], fieldConfig, gridPos } = panel as Panel;
    const at = gridPos ?? { x: 0, y: 0, w: 0, h: 0 };
    return [
      {
        title,
        description,
        unit: fieldConfig?.defaults.unit ?? '',
        targets: targets as Dataquery[],
        gridPos: at,
      },
    ];
  });
}

/** Every query of every dashboard, those of variables left out and those of annotations in. */
export function allQueries(): AskedQuery[] {
  return DASHBOARDS.flatMap((dashboard) => [
    ...(dashboard.annotations?.list ?? []).map(({ name, expr = '', titleFormat = '' }) => ({
      place: `${dashboard.uid}, annotation ${name}`,
      expr,
      legend: titleFormat,
    })),
    ...panelsOf(dashboard).flatMap(({ title, targets }) =>
      targets.map(({ expr, legendFormat = '' }) => ({
        place: `${dashboard.uid}, ${title}`,
        expr,
        legend: legendFormat,
      })),
    ),
  ]);
}

export interface MetricUse {
  name: string;
  /** Labels by which it is chosen or summed. */
  labels: string[];
}

/** The metrics of a query, each with the labels that the query takes it to have. */
export function metricsOf(expr: string): MetricUse[] {
  const bare = expr.replace(/"[^"]*"/g, '""');
  const uses = [...bare.matchAll(/\b((?:retell_proxy|process|nodejs)_\w+|ALERTS)\b(?:\{([^}]*)\})?/g)];
  return uses.map(({ 1: name = '', 2: matchers = '', index }) => ({
    name,
    labels: [
      ...[...matchers.matchAll(/(\w+)\s*[=!]/g)].map(([, label = '']) => label),
      ...groupingsAround(bare, index),
    ],
  }));
}

/** The labels of every `by (...)` whose brackets hold the position, and of every `on (...)`. */
function groupingsAround(expr: string, position: number): string[] {
  return [...expr.matchAll(/\b(by|on)\s*\(([^)]*)\)\s*/g)].flatMap(
    ({ 0: text, 1: kind, 2: list = '', index }) => {
      const begin = index + text.length;
      const holds = kind === 'on' || (position > begin && position < closing(expr, begin));
      return holds ? list.split(',').map((label) => label.trim()) : [];
    },
  );
}

/** Where the bracket that opens at `begin` is closed. */
function closing(expr: string, begin: number): number {
  let depth = 0;
  for (let at = begin; at < expr.length; at++) {
    if (expr[at] === '(') depth++;
    if (expr[at] === ')' && --depth === 0) return at;
  }
  return expr.length;
}

/** As Grafana sends it, with all values chosen. */
export function filledIn(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('$__range', '6h')
    .replace(/\$(node|carrier|direction)\b/g, '.*');
}
