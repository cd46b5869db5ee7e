import type { IncomingRequest } from './sip-call.js';
import type { Credentials, DigestGuard, DigestOptions } from './sip-digest.js';
import type { Header, SipMessage } from './sip-message.js';
import { parseNameAddr } from './sip-values.js';

export interface RegistrarOptions extends Credentials {
  /** Default: `test`. */
  readonly realm?: string;
  /** `false` for challenges without qop. Default: true. */
  readonly qop?: boolean;
  /** Answer every REGISTER with this status, or not at all, credentials or none. */
  readonly refuse?: number | 'silent';
  /** Seconds granted in the place of those asked for. */
  readonly expires?: number;
}

/** A contact that is registered now. */
export interface Registration {
  /** Address of record: the URI of the To header. */
  readonly aor: string;
  /** The contact's URI. */
  readonly contact: string;
  /** Seconds granted. */
  readonly expires: number;
  /** How often it was registered, refreshes included. */
  readonly times: number;
  /** The latest REGISTER. */
  readonly message: SipMessage;
}

/** RFC 3261 10.2: what a registrar chooses if the client says nothing. */
const DEFAULT_EXPIRES = 3600;

/** A registrar that challenges by 401 and remembers what was registered (RFC 3261 10.3). */
export class Registrar {
  readonly #guard: DigestGuard;
  readonly #bindings = new Map<string, Registration & { until: number }>();

  constructor(guard: DigestGuard) {
    this.#guard = guard;
  }

  get registrations(): Registration[] {
    const now = Date.now();
    return [...this.#bindings.values()]
      .filter(({ until }) => until > now)
      .map(({ until, ...registration }) => registration);
  }

  /** Answers a REGISTER. */
  receive(request: IncomingRequest, options: RegistrarOptions): void {
    if (options.refuse === 'silent') return;
    if (options.refuse !== undefined) {
      request.reply(options.refuse);
      return;
    }
    const digest: DigestOptions = { ...options, status: 401 };
    const refused = this.#guard.refusal(request.message, digest);
    if (refused) request.reply(refused.status, undefined, refused.headers);
    else request.reply(200, undefined, this.#bind(request.message, options.expires));
  }

  /** Takes the contacts of a REGISTER; returns all that its address of record has now. */
  #bind(message: SipMessage, granted: number | undefined): Header[] {
    const aor = parseNameAddr(message.get('to') ?? '').uri;
    const header = message.get('expires');
    for (const value of message.list('contact')) {
      if (value === '*') {
        for (const [key, known] of this.#bindings) if (known.aor === aor) this.#bindings.delete(key);
        continue;
      }
      const { uri: contact, params } = parseNameAddr(value);
      const asked = Number(params.get('expires') ?? header ?? DEFAULT_EXPIRES);
      const expires = asked === 0 ? 0 : (granted ?? asked);
      const key = `${aor} ${contact}`;
      const times = (this.#bindings.get(key)?.times ?? 0) + 1;
      const until = Date.now() + expires * 1000;
      if (expires === 0) this.#bindings.delete(key);
      else this.#bindings.set(key, { aor, contact, expires, times, message, until });
    }
    return this.registrations
      .filter((registration) => registration.aor === aor)
      .map(({ contact, expires }) => ['Contact', `<${contact}>;expires=${expires}`]);
  }
}
