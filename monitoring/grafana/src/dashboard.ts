import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  AnnotationQueryBuilder,
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  VariableHide,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DATASOURCE } from './panels.js';
import { metric } from './queries.js';

const TAGS = ['sip', 'kamailio', 'retell'];

const VARIABLES = [
  { name: 'node', label: 'Node', of: 'kamailio_up' },
  { name: 'carrier', label: 'Carrier', of: 'gateway_up' },
  { name: 'direction', label: 'Direction', of: 'calls_active' },
];

export interface Row {
  title: string;
  panels: Builder<Panel>[];
}

/** `name` is the end of its uid: links and bookmarks hold it, so it stays. */
export interface DashboardSpec {
  name: string;
  title: string;
  description: string;
  rows: Row[];
}

/** What all dashboards share: variables, links to each other, annotations, refresh. */
export function dashboard({ name, title, description, rows }: DashboardSpec): Dashboard {
  const panels = rows.flatMap((row) => row.panels);
  const asked = JSON.stringify(panels.map((panel) => panel.build()));
  const builder = new DashboardBuilder(`Retell SIP proxy: ${title}`)
    .uid(`retell-proxy-${name}`)
    .description(description)
    .tags(TAGS)
    .timezone('browser')
    .time({ from: 'now-6h', to: 'now' })
    .refresh('30s')
    .tooltip(DashboardCursorSync.Crosshair)
    .link(
      new DashboardLinkBuilder('Retell SIP proxy')
        .type(DashboardLinkType.Dashboards)
        .tags(TAGS)
        .icon('external link')
        .asDropdown(false)
        .includeVars(true)
        .keepTime(true),
    )
    .annotation(newVersions())
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'));
  for (const variable of VARIABLES)
    builder.withVariable(labelVariable(variable, asked.includes(`$${variable.name}`)));
  for (const { title: heading, panels: below } of rows) {
    builder.withRow(new RowBuilder(heading));
    for (const panel of below) builder.withPanel(panel);
  }
  const built = builder.build();
  // Links to one panel hold its id; Grafana would give out others at each import.
  built.panels?.forEach((panel, index) => {
    panel.id = index + 1;
  });
  return built;
}

/** One that no panel here asks is hidden, yet there: the choice goes along to the next dashboard. */
function labelVariable(
  { name, label, of }: (typeof VARIABLES)[number],
  shown: boolean,
): QueryVariableBuilder {
  const query = `label_values(${metric(of)}, ${name})`;
  return (
    new QueryVariableBuilder(name)
      .label(label)
      .hide(shown ? VariableHide.DontHide : VariableHide.HideVariable)
      .datasource(DATASOURCE)
      .query({ query, refId: name })
      .definition(query)
      .multi(true)
      .includeAll(true)
      // Not the list of all values: calls without a carrier are to be seen too.
      .allValue('.*')
      .current({ selected: true, text: ['All'], value: ['$__all'] })
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .sort(VariableSort.AlphabeticalAsc)
  );
}

function newVersions(): AnnotationQueryBuilder {
  const info = metric('build_info');
  return new AnnotationQueryBuilder()
    .name('New version')
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor('purple')
    .expr(`count by (version) (${info} unless on (version) (${info} offset 5m))`)
    .step('60s')
    .titleFormat('Control plane {{version}}');
}
