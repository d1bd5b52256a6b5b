import { InvalidArgumentError } from 'commander'
import { isJobFolder, jobNameOf } from '../runs/jobName.ts'

const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(Z|[+-]\d\d:?\d\d)?)?$/i

/** A time on the command line; UTC, as times are shown, where it names no offset. */
export function parseTime(text: string): Date {
  const [, day = '', clock = '00:00', offset = 'Z'] = TIME.exec(text.trim()) ?? []
  const time = new Date(`${day}T${clock}${offset.toUpperCase()}`)
  // There are days that a calendar has not, such as 30 February: they are read as others.
  const wall = new Date(`${day}T${clock}Z`)
  if (Number.isNaN(time.getTime()) || !wall.toISOString().startsWith(day))
    throw new InvalidArgumentError('Expected a time such as 2026-02-01 or 2026-02-01T02:00:00Z.')
  return time
}

/** The name of a job that is named by its folder, as for commands that read its files, or as it is. */
export const parseJob = (text: string): string => (isJobFolder(text) ? jobNameOf(text) : text)

/** A whole number from 0. */
export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 0.')
  return Number(text)
}

/** A whole number from 1. */
export function parsePositive(text: string): number {
  if (!/^0*[1-9]\d*$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 1.')
  return Number(text)
}

/** Names parted by commas, of an option that may be given several times. */
export const parseList = (text: string, before: string[] = []): string[] => [
  ...before,
  ...text.split(',').filter(name => name !== ''),
]

/** Each value of an option that may be given several times, as it is. */
export const parseEach = (text: string, before: string[] = []): string[] => [...before, text]
