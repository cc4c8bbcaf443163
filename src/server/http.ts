import type { ServerType } from '@hono/node-server';
import type { Hono as HonoApp } from 'hono';
import { formatAddress, type Address } from '../core/address.js';
import type { AgentStatus } from './status.js';
import { OptionError } from './options.js';

/** How long open HTTP connections may hold up the end. */
const CLOSE_GRACE_MS = 500;

export interface StatusServer {
  close(): Promise<void>;
}

/**
 * Serves a node's state: `/healthz` (the process answers), `/readyz` (it knows a leader and has caught up: 200, else
 * 503), `/status` (everything, as JSON). Rejects with an OptionError if the address can't be had.
 */
export async function serveStatus(address: Address, status: () => AgentStatus): Promise<StatusServer> {
  const { Hono } = await import('hono');
  const app = new Hono();
  app.get('/healthz', (c) => c.json({ alive: true }));
  app.get('/readyz', (c) => {
    const { ready, leader, entries } = status();
    return c.json({ ready, leader, entries }, ready ? 200 : 503);
  });
  app.get('/status', (c) => c.json(status()));
  app.notFound((c) =>
    c.json({ error: `no ${c.req.path} here; there are /healthz, /readyz and /status` }, 404),
  );
  const server = await listen(app, address);
  return { close: () => close(server) };
}

async function listen(app: HonoApp, { address, port }: Address): Promise<ServerType> {
  const { serve } = await import('@hono/node-server');
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: address, port: Number(port) }, () => resolve(server));
    // Listened to for ever: once it serves, an error of its own must not end the node, and rejects nothing any more.
    server.on('error', (error: Error) => {
      reject(
        new OptionError(`--http: can't listen on ${formatAddress({ address, port })}: ${error.message}`),
      );
    });
  });
}

function close(server: ServerType): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(
      () => 'closeAllConnections' in server && server.closeAllConnections(),
      CLOSE_GRACE_MS,
    );
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
  });
}
