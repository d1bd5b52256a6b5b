import type { Tone } from './charts.ts'
import { badge, type Html } from './markup.ts'

/** Of what became of a check. */
export const LEVEL_TONE = { stop: 'bad', reject: 'bad', warn: 'warn', pass: 'good' } as const

const STATUS_TONE: Record<string, Tone> = {
  SUCCESS: 'good',
  COMPLETED_WITH_ERRORS: 'warn',
  FAILED: 'bad',
  INTERRUPTED: 'bad',
  RUNNING: 'bar',
  WAITING: 'plain',
  PLANNED: 'plain',
}

/** Of how a run stands, by the store's word. */
export const toneOf = (status: string): Tone => STATUS_TONE[status] ?? 'plain'

/** A word of the store, as people read it. */
export const inWords = (word: string): string => word.toLowerCase().replaceAll('_', ' ')

export const statusBadge = (status: string): Html => badge(inWords(status), toneOf(status))
