import type { Call } from './call.js';
import { callView } from './call-view.js';

/** What an ended call leaves: all of its record but the timeline. */
export type DetailRecord = Omit<ReturnType<typeof callView>, 'timeline'>;

export function detailRecordOf(call: Call): DetailRecord {
  const { timeline: _, ...record } = callView(call);
  return record;
}
