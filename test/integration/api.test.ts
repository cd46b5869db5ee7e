import { runFolder } from '../harness/run-folder.js';

await runFolder(import.meta.url);
