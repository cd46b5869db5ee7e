/** Fields of a call's record. */
type RecordFields = Record<string, string>;

/** Who wanted the transfer: the API, the agent by its function, or Retell by a REFER of its own. */
export type TransferSource = 'api' | 'function' | 'retell';
/** How far a transfer that is under way has come. */
export type TransferStage = 'requested' | 'accepted' | 'trying' | 'ringing';
/**
 * How a transfer ended. `rejected`: the REFER was refused. `failed`: the carrier told of a failure, or of no outcome, or
 * nothing could be sent. `timed_out`: it told nothing in time. `call_ended`: the call ended before it told.
 */
export type TransferOutcome = 'succeeded' | 'rejected' | 'failed' | 'timed_out' | 'call_ended';
export type OnFailure = 'resume' | 'hangup';

/** What a transfer was made with. */
export interface TransferRequest {
  source: TransferSource;
  /** who asked: the name of the API token, the agent, or `retell` */
  by: string;
  /** where it is to go, as it was asked for */
  to: string;
  /** the URI in Refer-To, as the carrier gets it */
  refer_to: string;
  on_failure: OnFailure;
  /** ms since 1970 */
  requested_at: number;
  timeout_s: number;
  /** what the carrier does not get of what was asked for */
  warnings: string[];
  /** all headers of the REFER that depend on the request, to send it again with credentials */
  headers?: (readonly [name: string, value: string])[];
}

/** The end of a transfer, which it has once. */
export interface TransferEnd {
  outcome: TransferOutcome;
  /** the SIP status that ended it */
  status?: number;
  /** why, as a clause */
  reason?: string;
  /** ms since 1970 */
  at: number;
}

/** What the wire told of a transfer. */
export interface ReferEvent {
  /** ms since 1970 */
  at: number;
  type: 'refer_answered' | 'refer_notified' | 'refer_refused';
  code: number | undefined;
  /** why we refused it */
  reason: string | undefined;
  /** Subscription-State */
  subscription: string;
  /** what the response challenged with */
  challenge: string | undefined;
}

/** One transfer of a call. */
export interface Transfer extends TransferRequest {
  id: string;
  /** when each stage was reached, in ms since 1970 */
  accepted_at: number | undefined;
  trying_at: number | undefined;
  ringing_at: number | undefined;
  end: TransferEnd | undefined;
  /** whether the agent was told of its end, or why not */
  told: { at: number; outcome: 'told' | 'not_told'; reason?: string } | undefined;
}

const PREFIX = 'transfer:';
const REQUEST = ':request';
/** Stages that the wire tells of, in their order. */
export const TOLD_STAGES = ['accepted', 'trying', 'ringing'] as const;

/** How far it is, or how it ended. */
export function transferStateOf(transfer: Transfer): TransferStage | TransferOutcome {
  if (transfer.end !== undefined) return transfer.end.outcome;
  if (transfer.ringing_at !== undefined) return 'ringing';
  if (transfer.trying_at !== undefined) return 'trying';
  return transfer.accepted_at === undefined ? 'requested' : 'accepted';
}

/** Fields of the call's record, each written once. */
export const transferFields = {
  requested: (id: string, request: TransferRequest): RecordFields => ({
    [`${PREFIX}${id}${REQUEST}`]: JSON.stringify(request),
  }),
  stage: (id: string, stage: (typeof TOLD_STAGES)[number], atMs: number): RecordFields => ({
    [`${PREFIX}${id}:${stage}`]: String(atMs),
  }),
  end: (id: string, end: TransferEnd): RecordFields => ({ [endField(id)]: JSON.stringify(end) }),
  told: (id: string, told: NonNullable<Transfer['told']>): RecordFields => ({
    [`${PREFIX}${id}:told`]: JSON.stringify(told),
  }),
};

/** The field that holds a transfer's end. */
export function endField(id: string): string {
  return `${PREFIX}${id}:end`;
}

/** The stage that a field tells of, or undefined where it tells of none. */
export function stageOfField(field: string): TransferStage | undefined {
  if (!field.startsWith(PREFIX)) return undefined;
  const name = field.slice(field.lastIndexOf(':') + 1);
  if (name === 'request') return 'requested';
  return TOLD_STAGES.find((stage) => stage === name);
}

/** The transfers in a record, the oldest first; what belongs to none that was asked for is left out. */
export function transfersOf(record: RecordFields): Transfer[] {
  return Object.keys(record)
    .filter((field) => field.startsWith(PREFIX) && field.endsWith(REQUEST))
    .map((field): Transfer => {
      const id = field.slice(PREFIX.length, -REQUEST.length);
      const time = (stage: string) => {
        const value = record[`${PREFIX}${id}:${stage}`];
        return value === undefined ? undefined : Number(value);
      };
      const json = (name: string) => {
        const value = record[`${PREFIX}${id}:${name}`];
        return value === undefined ? undefined : JSON.parse(value);
      };
      return {
        id,
        ...(json('request') as TransferRequest),
        accepted_at: time('accepted'),
        trying_at: time('trying'),
        ringing_at: time('ringing'),
        end: json('end'),
        told: json('told'),
      };
    })
    .sort((a, b) => a.requested_at - b.requested_at);
}
