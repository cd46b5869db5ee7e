import type { EndedBy } from '../call.js';
import { CallError } from '../errors.js';
import type { HangupOutcome } from '../hangup/outcome.js';

/** Who ends calls for the parts that decide it by themselves. */
export interface Hangups {
  hangup(
    id: string,
    request: { by: string; endedBy: EndedBy; reason: string },
  ): Promise<{ outcome: HangupOutcome }>;
}

/**
 * Ends a call that is up longer than it may be and that its node did not end.
 *
 * @throws where it has to be tried again
 */
export async function endByDeadline(hangups: Hangups, id: string): Promise<void> {
  try {
    const { outcome } = await hangups.hangup(id, {
      by: 'deadline',
      endedBy: 'timeout',
      reason: 'maximum duration reached',
    });
    if (outcome === 'failed') throw new Error('the call that is too long was not hung up');
  } catch (error) {
    // Its record is gone, and so is the call.
    if (error instanceof CallError && error.code === 'call_not_found') return;
    throw error;
  }
}
