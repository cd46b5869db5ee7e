import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';

/**
 * A process that waits for the end of this one, however it comes, and then kills the groups that are left:
 * a parent-death signal reaches only the first process of a group, and Kamailio's workers stay without it.
 * It does not keep this process from ending.
 */
export class GroupWatchdog {
  static readonly #script = `
    trap '' HUP INT TERM
    groups=
    while read -r line; do groups=$line; done
    for group in $groups; do kill -s KILL -- "-$group"; done`;

  readonly #groups = new Set<number>();
  #child: ChildProcess | undefined;

  add(group: number): void {
    this.#groups.add(group);
    this.#tell();
  }

  remove(group: number): void {
    this.#groups.delete(group);
    this.#tell();
    if (this.#groups.size > 0) return;
    this.#child?.stdin?.end();
    this.#child = undefined;
  }

  #tell(): void {
    this.#child ??= this.#spawn();
    this.#child.stdin?.write(`${[...this.#groups].join(' ')}\n`);
  }

  #spawn(): ChildProcess {
    const child = spawn('/bin/sh', ['-c', GroupWatchdog.#script], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    const forget = () => {
      if (this.#child === child) this.#child = undefined;
    };
    child.once('exit', forget);
    child.on('error', forget);
    // A write to a watchdog that just died; the next change starts another.
    child.stdin.on('error', forget);
    child.unref();
    (child.stdin as unknown as Socket).unref();
    return child;
  }
}
