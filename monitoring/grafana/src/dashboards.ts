import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { callControl } from './call-control.js';
import { calls } from './calls.js';
import { carriers } from './carriers.js';
import { controlPlane } from './control-plane.js';
import { kamailio } from './kamailio.js';
import { overview } from './overview.js';
import { retell } from './retell.js';
import { security } from './security.js';

export const DASHBOARDS: Dashboard[] = [
  overview,
  carriers,
  calls,
  callControl,
  retell,
  kamailio,
  controlPlane,
  security,
];

/** Where the files are, from the repository's root. */
export const FOLDER = 'monitoring/grafana/dashboards';

/** The content of each file, by its name. */
export function dashboardFiles(): Map<string, string> {
  return new Map(
    DASHBOARDS.map((dashboard) => [
      `${dashboard.uid}.json`,
      `${JSON.stringify(dashboard, null, 2)}
`,
    ]),
  );
}
