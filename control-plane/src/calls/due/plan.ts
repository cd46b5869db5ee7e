import type { Config } from '../../config/schema.js';
import type { ByeEvent, CallEvent } from '../../kamailio/events.js';
import type { Merge } from '../store.js';
import type { DueChange } from './work.js';

/** What an event added to a call's record. */
export type RecordChange = Merge & { event: CallEvent | ByeEvent };

/** Kamailio ends a call that is too long itself; only where it did not by so much later, it is ended from here. */
const DEADLINE_SLACK_MS = 5000;
/** A leg whose BYE was not seen leaving by then gets one from the record. */
const MISSING_BYE_MS = 1000;

/**
 * The work that follows from events. It follows from them alone, whether they were written before or not: who
 * writes a record may die before the work is scheduled, and then the batch comes again.
 */
export function dueAfter(changes: readonly RecordChange[], config: Config): DueChange[] {
  const told = byesTold(changes);
  return changes.flatMap((change) => [
    ...afterAnswer(change, config),
    ...afterEnd(change, (told.get(change.id)?.size ?? 0) === 2, config),
  ]);
}

/** What follows from an answer alone, whoever tells of it. */
export function afterAnswer({ id, fields }: Merge, { calls }: Config): DueChange[] {
  if (fields.answered_at === undefined) return [];
  const durationMs = Number(fields.max_duration_s ?? calls.max_duration_s) * 1000;
  return [{ kind: 'max_duration', id, atMs: Number(fields.answered_at) + durationMs + DEADLINE_SLACK_MS }];
}

/** The legs whose BYE was seen leaving, by call: mostly both, together with the end. */
function byesTold(changes: readonly RecordChange[]): Map<string, Set<string>> {
  const told = new Map<string, Set<string>>();
  for (const { id, event } of changes) {
    if (event.type === 'bye_sent') told.set(id, (told.get(id) ?? new Set()).add(event.to_tag));
  }
  return told;
}

function afterEnd(
  { id, fields, event }: RecordChange,
  bothByesTold: boolean,
  { calls, retell }: Config,
): DueChange[] {
  if (fields.ended_at === undefined) return [];
  const endedMs = Number(fields.ended_at);
  const by = fields.ended_by ?? '';
  const changes: DueChange[] = [{ kind: 'max_duration', id }];
  // Whoever hangs up sends a BYE, which is passed on; the others' two BYEs are Kamailio's.
  if (event.type !== 'failed' && by !== 'carrier' && by !== 'retell' && !bothByesTold)
    changes.push({ kind: 'missing_bye', id, atMs: endedMs + MISSING_BYE_MS });
  // A call that Retell ended is over there.
  const { stop_at_retell, grace_s } = calls.reaper;
  if (stop_at_retell !== 'off' && retell.api_key !== undefined && by !== 'retell')
    changes.push({ kind: 'retell_lingers', id, atMs: endedMs + grace_s * 1000 });
  return changes;
}
