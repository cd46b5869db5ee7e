import { basename } from 'node:path';

/** Options whose value nobody else should read. */
const SECRET = new Set(['--token']);

/** The command as it can be given again, secrets and directories left out. */
export function commandLine(args: readonly string[] = process.argv.slice(2)): string {
  const shown = args.map((arg, i) => {
    if (SECRET.has(args[i - 1] ?? '')) return '...';
    const text = arg.startsWith('/') ? basename(arg) : arg.replace(/^(--token=).*/, '$1...');
    return /^[\w%@:.,+=/-]+$/.test(text) ? text : `'${text}'`;
  });
  return ['npm run load --', ...shown].join(' ');
}
