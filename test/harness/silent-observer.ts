import type { CallObserver } from '../../control-plane/src/calls/event-handler.js';

/** An observer of events for tests that look at the records alone. */
export const SILENT: CallObserver = {
  eventHandled: () => {},
  callStarted: () => {},
  byeUnmatched: () => {},
  callLimited: () => {},
  callFellBack: () => {},
  attemptFailed: () => {},
  transferReached: () => {},
};
