import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../control-plane/src/cli/paths.js';
import { freePort } from '../control-plane/src/cli/ports.js';
import { NICENESS } from '../control-plane/src/cli/precedence.js';
import { SIP_RECEIVE_BUFFER } from '../control-plane/src/cli/size/sizing.js';
import { Part } from '../test/harness/part.js';
import type { SipPeer } from '../test/harness/sip-peer.js';
import type { TestLike } from '../test/harness/stack.js';

export interface BareOptions {
  /** Processes for its UDP socket. */
  workers: number;
  sharedMemoryMb: number;
  packageMemoryMb: number;
  /** `tlsf` is what ours has (default), its precedence and its receive buffers; `shipped` what Kamailio takes by itself. */
  allocator?: 'tlsf' | 'shipped';
  /** Who asks through it, and the URI of who answers OPTIONS: that tells when it serves. */
  asking: SipPeer;
  answering: string;
}

/**
 * Starts the bare Kamailio of bare.cfg.
 *
 * @returns where it takes SIP over UDP, and its process group
 * @throws SupervisorError where it does not come up
 */
export async function startBareKamailio(
  t: TestLike,
  options: BareOptions,
): Promise<{ host: string; port: number; group: number | undefined }> {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-bare-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const socket = { host: '127.0.0.1', port: await freePort() };
  const part = new Part(
    {
      name: 'bare kamailio',
      command: process.env.KAMAILIO ?? 'kamailio',
      args: [
        ...['-DD', '-E', '-f', join(ROOT, 'bench', 'bare.cfg'), '-w', directory, '-Y', directory],
        ...['-l', `udp:${socket.host}:${socket.port}`, '-n', String(options.workers)],
        ...['-m', String(options.sharedMemoryMb), '-M', String(options.packageMemoryMb)],
        ...(options.allocator === 'shipped'
          ? []
          : ['-x', 'tlsf', '-X', 'tlsf', '-b', String(SIP_RECEIVE_BUFFER)]),
      ],
      ...(options.allocator === 'shipped' ? {} : { niceness: NICENESS.kamailio }),
      cwd: directory,
      ready: async () => {
        const { status } = await options.asking.request('OPTIONS', {
          to: options.answering,
          via: socket,
        });
        if (status !== 200) throw new Error(`OPTIONS through it is answered ${status}`);
      },
    },
    () => {},
  );
  t.teardown(() => part.stop());
  await part.start();
  return { ...socket, group: part.pid };
}
