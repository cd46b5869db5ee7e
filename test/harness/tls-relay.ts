import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { StreamFramer } from './sip-framer.js';
import { type TlsOptions, tlsConnect, tlsServer } from './sip-tls.js';
import type { TestLike } from './stack.js';

export interface TlsRelayOptions {
  /** Address of the SIPp, from which the relay connects too. */
  host: string;
  /** The SIPp's own port. */
  sippPort: number;
  /** Where the proxy finds the SIPp by TLS. */
  tlsPort: number;
  tls: TlsOptions;
  /** Where the proxy takes TLS, for a SIPp that calls. One that is called waits for the proxy. */
  proxy?: { host: string; port: number };
}

/**
 * SIP over TLS for one SIPp that speaks TCP, as Debian's is built without TLS. On the way the SIPp's own address in Via
 * and Contact becomes that of the relay's TLS, and back.
 */
export class TlsRelay {
  readonly #options: TlsRelayOptions;
  readonly #plain: Server;
  readonly #secure: TlsServer;
  readonly #sockets = new Set<Socket>();
  /** To the SIPp, and to the proxy. */
  #sipp: Socket | undefined;
  #proxy: Socket | undefined;

  private constructor(options: TlsRelayOptions) {
    this.#options = options;
    this.#plain = createServer((socket) => this.#setSipp(socket));
    this.#secure = tlsServer(options.tls).on('secureConnection', (socket) => this.#setProxy(socket));
  }

  /** Starts a relay that stops when the test ends. */
  static async start(t: TestLike, options: TlsRelayOptions): Promise<TlsRelay> {
    const relay = new TlsRelay(options);
    await Promise.all([
      listen(relay.#plain, options.host, 0),
      listen(relay.#secure, options.host, options.tlsPort),
    ]);
    t.teardown(() => relay.stop());
    return relay;
  }

  /** Where a SIPp that calls is to send its messages. */
  get entry(): string {
    return `${this.#options.host}:${(this.#plain.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#plain.close();
    this.#secure.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #setSipp(socket: Socket): Socket {
    const { host, sippPort, tlsPort } = this.#options;
    const own = `${host}:${sippPort}`;
    const tls = `${host}:${tlsPort}`;
    this.#sipp = socket;
    this.#pass(socket, (message) => {
      const passed = message
        .replaceAll(`SIP/2.0/TCP ${own}`, `SIP/2.0/TLS ${tls}`)
        .replaceAll(`${own};transport=TCP`, `${tls};transport=TLS`);
      this.#toProxy().write(passed, 'latin1');
    });
    return socket;
  }

  #setProxy(socket: Socket): Socket {
    const { host, sippPort, tlsPort } = this.#options;
    const own = `${host}:${sippPort}`;
    const tls = `${host}:${tlsPort}`;
    this.#proxy ??= socket;
    socket.once('close', () => {
      if (this.#proxy === socket) this.#proxy = undefined;
    });
    this.#pass(socket, (message) => {
      const passed = message
        .replaceAll(`SIP/2.0/TLS ${tls}`, `SIP/2.0/TCP ${own}`)
        .replaceAll(`${tls};transport=TLS`, `${own};transport=TCP`);
      this.#toSipp().write(passed, 'latin1');
    });
    return socket;
  }

  #toSipp(): Socket {
    const { host, sippPort } = this.#options;
    return this.#sipp ?? this.#setSipp(connect({ host, port: sippPort }));
  }

  #toProxy(): Socket {
    const { host, proxy, tls } = this.#options;
    if (this.#proxy !== undefined) return this.#proxy;
    if (proxy === undefined) throw new Error('the proxy has not connected');
    return this.#setProxy(tlsConnect({ ...proxy, localAddress: host }, tls));
  }

  #pass(from: Socket, take: (message: string) => void): void {
    const framer = new StreamFramer();
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.on('error', () => {});
    from.once('close', () => this.#sockets.delete(from));
    from.on('data', (chunk) => {
      for (const message of framer.push(chunk as Buffer)) take(message.toString('latin1'));
    });
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => resolve());
  });
}
