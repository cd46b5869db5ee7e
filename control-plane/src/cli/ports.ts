import { createSocket, type Socket } from 'node:dgram';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer, isIPv4, isIPv6 } from 'node:net';
import { basename } from 'node:path';
import { readProcesses } from './process-stat.js';

export type Transport = 'udp' | 'tcp' | 'tls';

export interface PortUse {
  /** Address of this machine, without brackets. */
  host: string;
  port: number;
  transport: Transport;
  /** Who wants the port, for the error's line. */
  what: string;
}

/** A wanted port cannot be had; the message is one line. `code` is that of the failed bind, as EADDRINUSE. */
export class PortError extends Error {
  override readonly name = 'PortError';

  constructor(
    message: string,
    readonly code: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * The range to pick from. It lies below the kernel's own range for outgoing connections (from 32768), so no
 * connection of another program takes a port between the pick and its use.
 */
const FIRST_PORT = 12_000;
const PORT_COUNT = 20_000;
const PICKS = 200;
/**
 * A port is held at this address for as long as the process that was given it lives: nothing else is ever bound
 * there, and so no other process picks it before it is bound where it is wanted, nor while that is restarted.
 */
const HOLDING_HOST = '127.255.255.254';

/**
 * Picks a port that is free for TCP and for UDP, and that nobody else has been given.
 *
 * @throws {PortError} when none of the ports tried is free.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let pick = 0; pick < PICKS; pick++) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORT_COUNT);
    try {
      (await openUdp(HOLDING_HOST, port)).unref();
      await bindTcp(host, port);
      await bindUdp(host, port);
      return port;
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE') throw portError('A free port', host, error);
    }
  }
  throw new PortError(`No free port found on ${host} in ${PICKS} tries`, 'EADDRINUSE');
}

/**
 * Resolves when the port can be bound now. Kamailio must not find out by itself: its UDP sockets share a
 * port with another program's without an error, and each gets a part of the packets.
 *
 * @throws {PortError} that says who wanted which port and why it cannot be had.
 */
export async function assertPortFree({ host, port, transport, what }: PortUse): Promise<void> {
  try {
    await (transport === 'udp' ? bindUdp(host, port) : bindTcp(host, port));
  } catch (error) {
    const address = `${transport} ${isIPv6(host) ? `[${host}]` : host}:${port}`;
    throw portError(what, address, error, () => findOwner(host, port, transport));
  }
}

function bindTcp(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

async function bindUdp(host: string, port: number): Promise<void> {
  const socket = await openUdp(host, port);
  await new Promise<void>((resolve) => socket.close(() => resolve()));
}

function openUdp(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    socket.once('error', (error) => socket.close(() => reject(error)));
    socket.bind({ address: host, port, exclusive: true }, () => resolve(socket));
  });
}

function portError(
  what: string,
  address: string,
  error: unknown,
  owner: () => string | undefined = () => undefined,
): PortError {
  const code = codeOf(error);
  const wanted = `${what} needs ${address}, but `;
  const by = code === 'EADDRINUSE' ? owner() : undefined;
  const reasons: Record<string, string> = {
    EADDRINUSE: `the port is taken${by ? ` by ${by}` : ''}`,
    EACCES: 'this user may not bind that port',
    EADDRNOTAVAIL: 'that is no address of this machine',
  };
  return new PortError(wanted + (reasons[code] ?? `binding it fails with ${code}`), code, { cause: error });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** Name and pid of the process that holds the port, as far as /proc tells this user. */
function findOwner(host: string, port: number, transport: Transport): string | undefined {
  const protocol = transport === 'udp' ? 'udp' : 'tcp';
  const sockets = new Set(
    ['', '6'].flatMap((family) =>
      socketsOnPort(readProc(`/proc/net/${protocol}${family}`), protocol, host, port),
    ),
  );
  if (sockets.size === 0) return undefined;
  const holders = readProcesses().filter(({ pid }) => holdsSocket(pid, sockets));
  const pids = new Set(holders.map(({ pid }) => pid));
  // The main process, not a worker that inherited its socket. The lowest number may be any: Linux counts in a circle.
  const pid = holders.find(({ parent }) => !pids.has(parent))?.pid;
  if (pid === undefined) return undefined;
  // Not comm, which is the thread's name in newer Node, nor exe, which is redis-check-rdb for Debian's Redis.
  const [program = ''] = readProc(`/proc/${pid}/cmdline`).split(/[\0 ]/);
  return `${basename(program)} (pid ${pid})`;
}

/** The sockets in the way of a bind, from a /proc/net table (proc_pid_net(5)), named as in /proc/PID/fd. */
function socketsOnPort(table: string, protocol: 'udp' | 'tcp', host: string, port: number): string[] {
  const bound = protocol === 'tcp' ? '0A' : '07';
  const portHex = hex(port, 4);
  const hostHex =
    isIPv4(host) && host !== '0.0.0.0'
      ? host
          .split('.')
          .reverse()
          .map((byte) => hex(Number(byte), 2))
          .join('')
      : '';
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => {
      const [localHost = '', localPort] = local.split(':');
      const sameHost = hostHex === '' || localHost === hostHex || /^0+$/.test(localHost);
      return sameHost && localPort === portHex && state === bound;
    })
    .map((columns) => `socket:[${columns[9]}]`);
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}

function holdsSocket(pid: number, sockets: ReadonlySet<string>): boolean {
  const folder = `/proc/${pid}/fd`;
  return listProc(folder).some((fd) => sockets.has(readLink(`${folder}/${fd}`)));
}

// A process may end, or belong to another user, while it is looked at: then it tells nothing.
const readProc = quietly((path: string) => readFileSync(path, 'utf8'), '');
const listProc = quietly((path: string) => readdirSync(path), []);
const readLink = quietly((path: string) => readlinkSync(path), '');

function quietly<T>(read: (path: string) => T, otherwise: T): (path: string) => T {
  return (path) => {
    try {
      return read(path);
    } catch {
      return otherwise;
    }
  };
}
