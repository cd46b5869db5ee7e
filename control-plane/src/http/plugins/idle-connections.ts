import type { Socket } from 'node:net';
import fp from 'fastify-plugin';

/** Pause between two looks while the server stops, in ms. */
const LOOK_MS = 100;

/**
 * Lets the server stop when its last request is answered. Node closes connections that are idle when the stop
 * begins; one whose request is in hand then would be kept alive after it as long as any other, over a minute. So
 * would one without any request yet, as browsers open them in advance: to Node that one is not idle.
 */
export const idleConnectionsPlugin = fp(
  async (app) => {
    const sockets = new Set<Socket>();
    app.server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    app.addHook('preClose', async () => {
      const timer = setInterval(() => {
        app.server.closeIdleConnections();
        for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
      }, LOOK_MS);
      app.server.once('close', () => clearInterval(timer));
    });
  },
  { name: 'idle-connections' },
);
