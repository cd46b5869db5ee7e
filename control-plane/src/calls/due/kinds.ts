/** Work that is due at a time, by what has to be done. */
export const DUE_KINDS = [
  'max_duration',
  'missing_bye',
  'retell_lingers',
  'dialog_lingers',
  'transfer_challenged',
  'transfer_late',
  'transfer_over',
  'retell_webhook',
  'created_call',
  'detail_record',
] as const;
export type DueKind = (typeof DUE_KINDS)[number];

/** What is due of one kind, by time: the calls' ids. */
export const dueKey = (kind: DueKind): string => `calls:due:${kind}`;
