import { isRunning } from '../util/owner.ts'

/** How a run stands, by the store's word; INTERRUPTED: it has not ended, and its process is gone. */
export const statusOf = (
  run: { status: string; owner: string; expires_at: string | null },
  now: Date,
): string => (run.status === 'RUNNING' && !isRunning(run, now) ? 'INTERRUPTED' : run.status)

/** A run's error, as the history keeps it, in one line. */
export function errorText(error: string | null): string {
  if (error === null) return '–'
  const { code, message } = JSON.parse(error) as { code?: string; message?: string }
  return [code, message].filter(Boolean).join(': ')
}
