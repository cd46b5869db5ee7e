import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import t, { type Test } from 'tap';
import { assertPortFree, freePort, PortError } from '../../control-plane/src/cli/ports.js';

const host = '127.0.0.1';
const thisProcess = `node (pid ${process.pid})`;

/** As Linux does once it has come to its highest number; where this user may not, the next one is simply higher. */
function countProcessesAnew(): void {
  try {
    writeFileSync('/proc/sys/kernel/ns_last_pid', '300');
  } catch {
    // Only root may.
  }
}

/** Listens on TCP for the length of the test. */
async function takeTcp(test: Test, address: string, port: number): Promise<Server> {
  const server = createServer().listen(port, address);
  test.teardown(() => server.close());
  await once(server, 'listening');
  return server;
}

/** Binds UDP for the length of the test, shared as Kamailio binds it. */
async function takeUdp(test: Test, address: string, port: number): Promise<void> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true }).bind(port, address);
  test.teardown(() => socket.close());
  await once(socket, 'listening');
}

t.test('freePort gives a port that TCP and UDP can bind', async (t) => {
  const port = await freePort();
  t.equal(((await takeTcp(t, host, port)).address() as AddressInfo).port, port);
  await t.resolves(takeUdp(t, host, port));
});

t.test('freePort never gives the same port twice', async (t) => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort(host)));
  t.equal(new Set(ports).size, ports.length);
});

t.test('freePort says so when the address is not of this machine', async (t) => {
  await t.rejects(freePort('192.0.2.1'), {
    name: 'PortError',
    code: 'EADDRNOTAVAIL',
    message: 'A free port needs 192.0.2.1, but that is no address of this machine',
  });
});

t.test('assertPortFree accepts a free port for every transport and leaves it free', async (t) => {
  const port = await freePort();
  for (const transport of ['udp', 'tcp', 'tls', 'udp', 'tcp'] as const) {
    await t.resolves(assertPortFree({ host, port, transport, what: 'Kamailio' }));
  }
});

t.test('assertPortFree names who wants the port and who has it', async (t) => {
  const port = await freePort();
  await takeTcp(t, host, port);
  await takeUdp(t, host, port);
  for (const transport of ['udp', 'tcp', 'tls'] as const) {
    await t.rejects(assertPortFree({ host, port, transport, what: 'Kamailio' }), {
      code: 'EADDRINUSE',
      message: `Kamailio needs ${transport} ${host}:${port}, but the port is taken by ${thisProcess}`,
    });
  }
});

t.test(
  'assertPortFree names the main process, not a worker with a lower number that has its socket',
  async (t) => {
    const port = await freePort();
    const server = await takeTcp(t, host, port);
    countProcessesAnew();
    const holding =
      'process.on("message", (_, socket) => { globalThis.held = socket; process.send("held"); })';
    const worker = spawn(process.execPath, ['--eval', holding], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    t.teardown(() => worker.kill());
    worker.send('hold', server);
    await once(worker, 'message');
    await t.rejects(assertPortFree({ host, port, transport: 'tcp', what: 'Kamailio' }), {
      message: `Kamailio needs tcp ${host}:${port}, but the port is taken by ${thisProcess}`,
    });
  },
);

t.test('assertPortFree sees a port that is taken on all addresses', async (t) => {
  const port = await freePort();
  await takeTcp(t, '0.0.0.0', port);
  await t.rejects(assertPortFree({ host, port, transport: 'tcp', what: 'The API' }), {
    message: `The API needs tcp ${host}:${port}, but the port is taken by ${thisProcess}`,
  });
});

t.test('assertPortFree sees a port that is taken on one address when all are wanted', async (t) => {
  const port = await freePort();
  await takeTcp(t, host, port);
  await t.rejects(assertPortFree({ host: '0.0.0.0', port, transport: 'tcp', what: 'The API' }), {
    message: `The API needs tcp 0.0.0.0:${port}, but the port is taken by ${thisProcess}`,
  });
});

t.test('assertPortFree tells TCP and UDP apart', async (t) => {
  const port = await freePort();
  await takeTcp(t, host, port);
  await t.resolves(assertPortFree({ host, port, transport: 'udp', what: 'Kamailio' }));
});

t.test('assertPortFree tells a foreign address from a taken port', async (t) => {
  const error = await assertPortFree({
    host: '192.0.2.1',
    port: 5060,
    transport: 'udp',
    what: 'Kamailio',
  }).catch((error: unknown) => error);
  t.ok(error instanceof PortError);
  t.match(error, {
    code: 'EADDRNOTAVAIL',
    message: 'Kamailio needs udp 192.0.2.1:5060, but that is no address of this machine',
  });
});

t.test('freePort gives no port that another process was given', async (t) => {
  const port = await freePort();
  const other = createSocket('udp4');
  t.teardown(() => other.close());
  // Whoever picks tries to hold the port there first.
  await t.rejects(once(other.bind({ address: '127.255.255.254', port, exclusive: true }), 'listening'), {
    code: 'EADDRINUSE',
  });
});
