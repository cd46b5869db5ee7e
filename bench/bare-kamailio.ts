import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../control-plane/src/cli/paths.js';
import { freePort } from '../control-plane/src/cli/ports.js';
import { Part } from '../test/harness/part.js';
import type { SipPeer } from '../test/harness/sip-peer.js';
import type { TestLike } from '../test/harness/stack.js';

export interface BareOptions {
  /** Processes for its UDP socket. */
  workers: number;
  sharedMemoryMb: number;
  packageMemoryMb: number;
  /** Two peers that can reach each other through it: that tells when it serves. */
  carrier: SipPeer;
  retell: SipPeer;
}

/**
 * Starts the bare Kamailio of bare.cfg, with the allocator that ours has.
 *
 * @returns where it takes SIP over UDP
 * @throws SupervisorError where it does not come up
 */
export async function startBareKamailio(
  t: TestLike,
  options: BareOptions,
): Promise<{ host: string; port: number }> {
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
        ...['-x', 'tlsf', '-X', 'tlsf', '-m', String(options.sharedMemoryMb)],
        ...['-M', String(options.packageMemoryMb)],
      ],
      cwd: directory,
      ready: async () => {
        const { status } = await options.carrier.request('OPTIONS', {
          to: options.retell.uri('ready'),
          via: socket,
        });
        if (status !== 200) throw new Error(`OPTIONS through it is answered ${status}`);
      },
    },
    () => {},
  );
  t.teardown(() => part.stop());
  await part.start();
  return socket;
}
