import fp from 'fastify-plugin';

/** Pause between two looks while the server stops, in ms. */
const LOOK_MS = 100;

/**
 * Lets the server stop when its last request is answered. Node closes connections that are idle when the stop
 * begins; one whose request is in hand then would be kept alive after it as long as any other, over a minute.
 */
export const idleConnectionsPlugin = fp(
  async (app) => {
    app.addHook('preClose', async () => {
      const timer = setInterval(() => app.server.closeIdleConnections(), LOOK_MS);
      app.server.once('close', () => clearInterval(timer));
    });
  },
  { name: 'idle-connections' },
);
