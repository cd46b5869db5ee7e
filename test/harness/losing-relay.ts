import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Address } from '../../sipp-scenarios/load/pairs.js';
import type { TestLike } from './stack.js';

/**
 * SIP over UDP between one caller and one called side, on a way that loses each message the first time: only what is
 * sent again arrives. Neither side may look at where messages come from, which is the relay.
 *
 * @returns where the caller is to send to
 */
export async function startLosingRelay(t: TestLike, host: string, called: Address): Promise<Address> {
  const [toCaller, toCalled] = [await boundAt(t, host), await boundAt(t, host)];
  const seen = new Set<string>();
  const isCopy = (message: Buffer) => {
    const text = message.toString('latin1');
    if (seen.has(text)) return true;
    seen.add(text);
    return false;
  };
  let caller: Address | undefined;
  toCaller.on('message', (message, { address, port }) => {
    caller = { host: address, port };
    if (isCopy(message)) toCalled.send(message, called.port, called.host);
  });
  toCalled.on('message', (message) => {
    if (caller && isCopy(message)) toCaller.send(message, caller.port, caller.host);
  });
  return { host, port: toCaller.address().port };
}

async function boundAt(t: TestLike, host: string): Promise<Socket> {
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  socket.bind(0, host);
  await once(socket, 'listening');
  return socket;
}
