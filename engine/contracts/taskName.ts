/** What a task does with what it names: a connection (`extract`, `load`, `confirm`), an extract (`types`), a model, one bucket of a model (`bucket.MODEL.NUMBER`), or a loaded table. */
export type TaskKind =
  | 'extract'
  | 'types'
  | 'bucket'
  | 'model'
  | 'diff'
  | 'preview'
  | 'load'
  | 'release'
  | 'confirm'
  | 'verify'

/** `plan`, `archive`, `extract.legacy`, `model.members_clean`, `load.warehouse` …; of progress, by table. */
export type TaskName = 'probe' | 'plan' | 'archive' | 'restore' | `${TaskKind}.${string}`

export const taskName = (kind: TaskKind, of: string): TaskName => `${kind}.${of}`

/** Whether a task is of a kind. */
export const isOfKind = (task: string, kind: TaskKind): boolean => task.startsWith(`${kind}.`)

/** What a task names; of one that names nothing, itself. */
export const subjectOf = (task: string): string => task.slice(task.indexOf('.') + 1)
