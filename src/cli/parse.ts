import { InvalidArgumentError } from 'commander'

/** A time on the command line. */
export function parseTime(text: string): Date {
  const time = new Date(text)
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError('Expected a time such as 2026-02-01T02:00:00Z.')
  return time
}

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
