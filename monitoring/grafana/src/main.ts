import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../../control-plane/src/cli/paths.js';
import { dashboardFiles, FOLDER } from './dashboards.js';

for (const [name, content] of dashboardFiles()) {
  await writeFile(join(ROOT, FOLDER, name), content);
  process.stdout.write(`${FOLDER}/${name}\n`);
}
