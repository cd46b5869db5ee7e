import type { Call } from './call.js';
import { callSummary } from './call-view.js';

/** What an ended call leaves: all of its record but the timeline. */
export type DetailRecord = ReturnType<typeof callSummary>;

export const detailRecordOf: (call: Call) => DetailRecord = callSummary;
