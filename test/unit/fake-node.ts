import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { RoutingTables } from '../../control-plane/src/kamailio/routing-tables.js';
import { RpcClient } from '../../control-plane/src/kamailio/rpc-client.js';

type Params = (string | number)[];

class Fault extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** A node's routing tables behind JSON-RPC, as Kamailio has them: read from its data files when it is told to. */
export class FakeNode {
  /** Every command that changes something, e.g. `dispatcher.reload`, `dispatcher.set_state dx 1 sip:...`. */
  readonly commands: string[] = [];
  /** Gateways: `set uri` to FLAGS and attributes. */
  readonly gateways = new Map<string, { flags: string; attributes: string }>();
  readonly tables = new Map<string, Map<string, string | number>>([
    ['drained', new Map()],
    ['slots', new Map()],
  ]);
  /** Lines of address.list. */
  networks: string[] = [];
  registrations: string[] = [];
  /** Sizes of dialog profiles, `carrier acme` or `fallback`. */
  readonly profiles = new Map<string, number>();
  /** Methods that answer with this fault. */
  readonly faults = new Map<string, number>();
  /** Whether it answers at all. */
  up = true;
  /** Called after each command. */
  onCommand: (command: string) => unknown = () => {};

  constructor(
    readonly name: string,
    readonly directory: string,
  ) {}

  /** Its client; both stop when the test ends. */
  async serve(t: Test): Promise<RoutingTables> {
    const server = createServer(async (request, reply) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      if (!this.up) return request.destroy();
      const { id, method, params } = JSON.parse(body) as { id: number; method: string; params: Params };
      const answer = await this.#answer(method, params).then(
        (result) => ({ status: 200, result }),
        (error: Fault) => ({ status: error.code, error: { code: error.code, message: error.message } }),
      );
      const { status, ...rest } = answer;
      reply.writeHead(status).end(JSON.stringify({ jsonrpc: '2.0', ...rest, id }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const rpc = new RpcClient({
      node: this.name,
      url: `http://127.0.0.1:${port}/RPC`,
      token: 'secret',
      breaker: { failures: 3, openMs: 20 },
    });
    t.teardown(async () => {
      await rpc.close();
      server.closeAllConnections();
      server.close();
    });
    return new RoutingTables(rpc);
  }

  /** It reads its files, and has forgotten what it was told. */
  async restart(): Promise<void> {
    this.tables.clear();
    for (const table of ['drained', 'slots']) this.tables.set(table, new Map());
    await this.#readGateways();
    await this.#readNetworks();
    for (const table of [
      'numbers',
      'fallbacks',
      'routes',
      'prefixes',
      'carriers',
      'retell',
      'destinations',
      'limits',
      'tls_names',
    ]) {
      await this.#readTable(table);
    }
    await this.#readRegistrations();
  }

  async #answer(method: string, params: Params): Promise<unknown> {
    const fault = this.faults.get(method);
    if (fault !== undefined) throw new Fault(fault, 'told to fail');
    const [first = '', second = '', third = ''] = params;
    switch (method) {
      case 'dispatcher.list':
        return this.#listGateways();
      case 'permissions.addressDump':
      case 'permissions.subnetDump':
        return this.#dumpNetworks(method.endsWith('subnetDump'));
      case 'uac.reg_dump':
        return this.registrations.map((l_uuid) => ({
          l_uuid,
          auth_password: 'secret',
          flags: 20,
          timer_expires: 9,
        }));
      case 'htable.stats':
        return [...this.tables].map(([name, { size }]) => ({ name, slots: 4, all: size, min: 0, max: size }));
      case 'htable.get': {
        const value = this.#table(first).get(String(second));
        if (value === undefined) throw new Fault(500, "Key name doesn't exist in htable.");
        return { item: { name: second, value, flags: 0, expire: '2026-11-24 00:00:00' } };
      }
      case 'htable.dump':
        return [...this.#table(first)].map(([name, value], entry) => ({
          entry,
          size: 1,
          slot: [{ name, value, type: typeof value === 'number' ? 'int' : 'str' }],
        }));
      case 'dlg.profile_get_size':
        return this.profiles.get(params.join(' ')) ?? 0;
    }
    this.commands.push([method, ...params].join(' '));
    await this.#command(method, first, second, third);
    await this.onCommand(this.commands.at(-1) ?? '');
    return 'Ok.';
  }

  async #command(method: string, first: string | number, second: string | number, third: string | number) {
    switch (method) {
      case 'dispatcher.set_state': {
        const gateway = this.gateways.get(`${second} ${third}`);
        if (gateway === undefined) throw new Fault(500, 'State Update Failed');
        gateway.flags = String(first).toUpperCase();
        return;
      }
      case 'dispatcher.reload':
        return this.#readGateways();
      case 'permissions.addressReload':
        return this.#readNetworks();
      case 'uac.reg_reload':
        return this.#readRegistrations();
      case 'htable.reload':
        return this.#readTable(String(first));
      case 'htable.seti':
        this.#table(first).set(String(second), third);
        return;
      case 'htable.delete':
        if (!this.#table(first).delete(String(second))) throw new Fault(404, 'Key not found in htable.');
        return;
      case 'tls.reload':
        return;
    }
    throw new Fault(500, 'Method Not Found');
  }

  #table(name: string | number): Map<string, string | number> {
    const table = this.tables.get(String(name));
    if (table === undefined) throw new Fault(500, 'No such htable');
    return table;
  }

  #listGateways(): unknown {
    if (this.gateways.size === 0) throw new Fault(500, 'No Destination Sets');
    const sets = new Map<number, unknown[]>();
    for (const [key, { flags, attributes }] of this.gateways) {
      const [set, URI] = key.split(' ');
      const dest = {
        URI,
        FLAGS: flags,
        PRIORITY: 0,
        ATTRS: { BODY: attributes },
        LATENCY: { AVG: 0, EST: 12, MAX: 12 },
      };
      sets.set(Number(set), [...(sets.get(Number(set)) ?? []), { DEST: dest }]);
    }
    return { NRSETS: sets.size, RECORDS: [...sets].map(([ID, TARGETS]) => ({ SET: { ID, TARGETS } })) };
  }

  #dumpNetworks(blocks: boolean): unknown {
    const entries = this.networks.flatMap((line) => {
      const [group, ip = '', mask, , tag] = line.split(' ');
      const isBlock = Number(mask) !== (ip.includes(':') ? 128 : 32);
      if (isBlock !== blocks) return [];
      return [{ group: Number(group), item: { ip, ...(blocks && { mask: Number(mask) }), port: 0, tag } }];
    });
    return entries.length === 0 ? {} : entries;
  }

  async #readGateways(): Promise<void> {
    this.gateways.clear();
    for (const line of await this.#lines('dispatcher.list')) {
      const [set, uri, flags, , attributes = ''] = line.split(' ');
      this.gateways.set(`${set} ${uri}`, { flags: Number(flags) & 8 ? 'AP' : 'AX', attributes });
    }
  }

  async #readNetworks(): Promise<void> {
    this.networks = await this.#lines('address.list');
  }

  async #readRegistrations(): Promise<void> {
    this.registrations = (await this.#lines('uacreg')).slice(1).map((row) => row.split(':')[1] ?? '');
  }

  async #readTable(table: string): Promise<void> {
    const rows = (await this.#lines(table)).slice(1).map((row) => row.split(/(?<!\\):/));
    this.tables.set(
      table,
      new Map(
        rows.map(([, key = '', , type, value = '']) => {
          const text = value.replace(/\\(.)/g, '$1');
          return [key.replace(/\\(.)/g, '$1'), type === '1' ? Number(text) : text];
        }),
      ),
    );
  }

  async #lines(file: string): Promise<string[]> {
    return (await readFile(join(this.directory, file), 'utf8')).split('\n').filter((line) => line !== '');
  }
}
