import { randomBytes } from 'node:crypto'
import type { Queries } from './database.ts'

/** What somebody did, or tried to do, from the dashboard. */
export interface AuditEntry {
  /** ISO 8601 UTC. */
  at: string
  who: string
  role: string
  /** Where the request came from. */
  address: string
  /** `log in`, `cancel`, `resume` … */
  action: string
  /** A run, a job, error records. */
  subject: string
  /** `done`, or why it was refused. */
  outcome: string
}

export async function keepAudit(queries: Queries, entry: AuditEntry): Promise<void> {
  await queries.run(
    `INSERT INTO audit_log (id, at, who, role, address, action, subject, outcome)
     VALUES (:id, :at, :who, :role, :address, :action, :subject, :outcome)`,
    { id: randomBytes(12).toString('hex'), ...entry },
  )
}

/** Newest first. */
export function auditLog(queries: Queries, limit: number): Promise<AuditEntry[]> {
  return queries.all(
    `SELECT at, who, role, address, action, subject, outcome FROM audit_log ORDER BY at DESC, id DESC LIMIT :limit`,
    { limit },
  )
}
