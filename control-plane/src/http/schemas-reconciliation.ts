import Type, { type TSchema } from 'typebox';

const orNull = <T extends TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });
const Count = (description: string) => orNull(Type.Integer(), description);
const Text = (description: string) => orNull(Type.String(), description);

const KindSchema = Type.Enum(
  [
    'lost_end',
    'lost_setup',
    'untracked',
    'unknown_node',
    'zombie',
    'unrecorded',
    'unknown_dialog',
    'retell_lingers',
    'retell_over',
  ],
  { description: 'What does not agree, see docs/operations/reconciliation.md' },
);
const ActionSchema = Type.Enum(['healed', 'failed', 'observed', 'reported'], {
  description:
    'healed: it was put right; failed: it could not be, and is tried again; observed: it would have been, if calls.reaper said on; reported: it is left to a human, or to time',
});

export const ReconciliationSchema = Type.Object(
  {
    started_at: Type.String({ format: 'date-time' }),
    finished_at: Type.String({ format: 'date-time' }),
    replica: Type.String({ description: 'The control plane that did it' }),
    nodes: Type.Array(
      Type.Object({
        node: Type.String(),
        dialogs: Count('Dialogs that have not ended; null where the node did not answer'),
        early_dialogs: Count('Those of them that are not answered'),
        records: Type.Integer({ description: 'Calls of the node that are up by their records' }),
        drift: Count(
          'Dialogs more than records, beyond what calls on their way explain; null where it is not known',
        ),
        compared: Type.Boolean({
          description:
            'Whether each dialog was compared with the records: not where the numbers agree, or there are more than 5,000',
        }),
        postponed: Type.Integer({ description: 'Suspicious calls that were left to the next runs' }),
        error: Text('Why not all was looked at'),
      }),
    ),
    retell: Type.Object({
      ongoing: Count('Calls that Retell counts as ongoing in the workspace'),
      ours: Count('Those of them that have a record'),
      skipped: Text('Why Retell was not asked'),
      error: Text('Why not all was looked at'),
    }),
    total: Type.Integer({ description: 'Findings in all' }),
    counts: Type.Array(Type.Object({ kind: KindSchema, action: ActionSchema, count: Type.Integer() }), {
      description: 'How many of each kind, by what was done',
    }),
    findings: Type.Array(
      Type.Object({
        kind: KindSchema,
        call_id: Text('Our id of the call; null where the dialog carries none'),
        node: Text('Kamailio node; null where the record names none'),
        action: ActionSchema,
        detail: Type.String(),
      }),
      { description: 'The first 200' },
    ),
  },
  { $id: 'Reconciliation' },
);
