/**
 * The call events that Kamailio publishes (kamailio/events.cfg; docs/reference/events.md). On the wire
 * every value is a string; what strangers control is base64, and Kamailio writes `<null>` for nothing.
 */

interface EventBase {
  /** Kamailio's time of the event, in microseconds since 1970. */
  at: number;
}

interface CallEventBase extends EventBase {
  /** The call's id. */
  id: string;
}

export interface InviteEvent extends CallEventBase {
  type: 'invite';
  direction: 'inbound' | 'outbound';
  /** who called inbound; outbound it is chosen later */
  carrier: string | undefined;
  /** address:port that sent the INVITE */
  source: string;
  sip_call_id: string;
  from_tag: string;
  from: string;
  /** user part of the Request-URI, as dialled */
  to: string;
  /** our number in the call: dialled inbound, calling outbound; undefined where it is none of ours */
  number: string | undefined;
  /** of an outbound call, what it names the call by that it continues: Retell's id of it, a secret, or ours */
  transferred_from?: string | undefined;
  /** the call whose caller From is, where it is none of our numbers */
  caller_call?: string | undefined;
}

export interface AttemptFailedEvent extends CallEventBase {
  type: 'attempt_failed';
  /** whose gateway: the carrier's name, or `retell` */
  owner: string;
  gateway: string;
  code: number;
  /** Reason header of its response, of at most 256 bytes */
  cause?: string | undefined;
}

export interface RingingEvent extends CallEventBase {
  type: 'ringing';
  gateway: string;
  code: number;
}

/** Retell could not have the call: it goes to the number's fallback, a SIP URI. */
export interface FallbackEvent extends CallEventBase {
  type: 'fallback';
  gateway: string;
  reason: string;
}

/** A limit that kept the call from a carrier, from Retell or from passing at all. */
export interface LimitedEvent extends CallEventBase {
  type: 'limited';
  limit: 'overall' | 'carrier' | 'number' | 'retell';
  carrier: string | undefined;
}

/** A header of the INVITE that was too long to hand over. */
export interface HeaderDroppedEvent extends CallEventBase {
  type: 'header_dropped';
  header: string;
  /** of the whole line, in bytes */
  length: number;
}

/** One side of an answered call, as the other needs it to send a request (RFC 3261 12.1). */
export interface LegState {
  tag: string;
  contact: string;
  /** Route header values, in the order in which they are sent; empty for none */
  route_set: string[];
  /** the last CSeq seen from this side; 0 where it sent no request */
  cseq: number;
  /** Kamailio's socket towards this side, e.g. udp:192.0.2.1:5060 */
  socket: string;
}

export interface AnsweredEvent extends CallEventBase {
  type: 'answered';
  carrier: string | undefined;
  gateway: string;
  /** how long it may last, in s */
  max_duration_s: number | undefined;
  h_entry: number;
  h_id: number;
  from_uri: string;
  to_uri: string;
  caller: LegState;
  callee: LegState;
  /** what the 200 says of its audio, see `codecOf` */
  codec?: string | undefined;
}

/** What a call that is hung up before its answer told: its CANCEL left, was answered, its caller took our refusal. */
export interface CancelEvent extends CallEventBase {
  type: 'cancel_sent' | 'cancel_answered' | 'cancel_unanswered' | 'refusal_acked';
  /** the callee's final response to the INVITE, for `cancel_answered` */
  code: number | undefined;
}

export interface EndedEvent extends CallEventBase {
  type: 'ended';
  by: string;
  /** why it timed out */
  reason: string | undefined;
  /** Reason header of a side's BYE, of at most 256 bytes */
  cause?: string | undefined;
  /** the transfer that was under way */
  transfer?: string | undefined;
}

/** The final response to the BYE of a side, which ended the call. */
export interface ByeConfirmedEvent extends CallEventBase {
  type: 'bye_confirmed';
  code: number;
}

export interface FailedEvent extends CallEventBase {
  type: 'failed';
  /** the last that was tried; undefined where none was */
  carrier: string | undefined;
  gateway: string | undefined;
  code: number | undefined;
  by: string | undefined;
  reason: string | undefined;
  /** Reason header of the last gateway's final response, of at most 256 bytes */
  cause?: string | undefined;
}

interface TransferEventBase extends CallEventBase {
  /** The transfer's id. */
  transfer: string;
}

/** A REFER of ours left for the carrier. */
export interface ReferSentEvent extends TransferEventBase {
  type: 'refer_sent';
  cseq: number;
}

/** The carrier's final response to a REFER, ours or Retell's. */
export interface ReferAnsweredEvent extends TransferEventBase {
  type: 'refer_answered';
  /** as the REFER had it on the carrier's side */
  cseq: number;
  code: number;
  /** the first value of WWW-Authenticate or Proxy-Authenticate, where there is one */
  challenge: string | undefined;
}

/** A NOTIFY of the carrier's told how the transfer goes (RFC 3515 section 2.4.4). */
export interface ReferNotifiedEvent extends TransferEventBase {
  type: 'refer_notified';
  /** status in the message/sipfrag body; undefined where there is none */
  code: number | undefined;
  /** Subscription-State; empty where there is none */
  subscription: string;
}

/** Retell's own REFER, which was passed on to the carrier. */
export interface ReferReceivedEvent extends TransferEventBase {
  type: 'refer_received';
  /** Refer-To as Retell wrote it */
  refer_to: string;
  /** the URI that the carrier got */
  destination: string;
  timeout_s: number;
}

/** Retell's own REFER, which we refused. */
export interface ReferRefusedEvent extends TransferEventBase {
  type: 'refer_refused';
  /** Refer-To as Retell wrote it */
  refer_to: string;
  code: number;
  reason: string;
}

/** A BYE that Kamailio made and sent, or the reply to one. `to_tag` is the tag of the leg that gets it. */
export interface ByeEvent extends EventBase {
  type: 'bye_sent' | 'bye_answered' | 'bye_untracked';
  sip_call_id: string;
  from_tag: string;
  to_tag: string;
  /** the reply's status, for `bye_answered` */
  code: number | undefined;
  /** Reason header of the BYE, of at most 256 bytes, for `bye_untracked` */
  cause?: string | undefined;
  /** the transfer that was under way, for `bye_untracked` */
  transfer?: string | undefined;
}

export type TransferEvent =
  | ReferSentEvent
  | ReferAnsweredEvent
  | ReferNotifiedEvent
  | ReferReceivedEvent
  | ReferRefusedEvent;
export type CallEvent =
  | InviteEvent
  | AttemptFailedEvent
  | RingingEvent
  | FallbackEvent
  | LimitedEvent
  | HeaderDroppedEvent
  | AnsweredEvent
  | CancelEvent
  | TransferEvent
  | EndedEvent
  | ByeConfirmedEvent
  | FailedEvent;
export type SipEvent = CallEvent | ByeEvent;
