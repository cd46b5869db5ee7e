import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { CallStore } from '../calls/store.js';
import { Problem } from './problems.js';

export const CallIdParam = Type.String({
  maxLength: 300,
  description: "Our id, or sip: and the SIP Call-ID, or retell: and Retell's id",
});

/** What stands after each prefix of an id. */
const NAMES = { sip: 'the Call-ID', retell: "Retell's id" } as const;

/**
 * Our own id of the call that a path names.
 *
 * @throws Problem call_not_found, for a name that nothing is known by
 */
export async function resolveCallId(store: CallStore, id: string): Promise<string> {
  const [, kind, name = ''] = /^(sip|retell):(.*)$/s.exec(id) ?? [];
  if (kind === undefined) return id;
  const found = await (kind === 'sip' ? store.idOfSipCallId(name) : store.idOfRetellCallId(name));
  if (found === undefined) {
    throw new Problem('call_not_found', `there is no call with ${NAMES[kind as keyof typeof NAMES]} ${name}`);
  }
  return found;
}

/** A request as the log shows it: Retell's id of a call opens the call to who knows it, and stays out. */
export const callLogSerializers = {
  req: ({ method, url, host, ip, socket }: FastifyRequest) => ({
    method,
    url: url.replace(/(retell(?::|%3a)|retell_call_id=)[^&/?]*/gi, '$1[redacted]'),
    host,
    remoteAddress: ip,
    remotePort: socket.remotePort,
  }),
};
