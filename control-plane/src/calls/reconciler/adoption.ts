import type { DialogDetails } from '../../kamailio/dialog-table.js';
import type { DialogIdentity } from '../call.js';
import { type RecordFields, timeline } from '../record.js';

/**
 * The record of a call that only Kamailio knows of, as its events would have written it. What the dialog does not
 * say (when it rang, who sent the INVITE) is not in it.
 *
 * @param dialog with an id of ours among its variables
 * @param now in ms since 1970, for the timeline
 */
export function fieldsOfDialog(dialog: DialogDetails, node: string, now: number): RecordFields {
  const variable = (name: string) => dialog.variables.get(name);
  const direction = variable('to') === undefined ? 'inbound' : 'outbound';
  const { h_entry, h_id, from_uri, to_uri, caller, callee } = dialog;
  const identity: DialogIdentity = { h_entry, h_id, from_uri, to_uri, caller, callee };
  const fields: Record<string, string | undefined> = {
    direction,
    node,
    carrier: variable('carrier'),
    gateway: dialog.gateway,
    number: variable('number'),
    from: userOf(from_uri),
    to: direction === 'outbound' ? variable('to') : userOf(to_uri),
    sip_call_id: dialog.sip_call_id,
    from_tag: caller.tag,
    retell_call_id: variable('retell_user'),
    retell_matched_by: variable('retell_user') === undefined ? undefined : 'register',
    created_at: String(dialog.created_at),
    invited_at: String(dialog.created_at),
    ...(dialog.answered_at !== undefined && {
      answered_at: String(dialog.answered_at),
      sip_status: '200',
      max_duration_s: variable('max_duration_s') ?? String(dialog.max_duration_s),
      dialog: JSON.stringify(identity),
    }),
    ...timeline({ at: now * 1000, type: 'adopted' }, {}),
  };
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function userOf(uri: string): string | undefined {
  return /^sips?:([^@;]+)@/.exec(uri)?.[1];
}
