import type { Alert } from '../spec/alert.ts'

/** `[nightfreight] CRITICAL members: failed, CONNECTION_LOST (3rd time)`. */
export function subject(alert: Alert): string {
  const again = alert.times > 1 ? ` (${ordinal(alert.times)} time)` : ''
  return `[nightfreight] ${alert.severity} ${alert.title}${again}`.replace(/\s+/g, ' ').slice(0, 200)
}

/** The alert for people, plain text. */
export function body(alert: Alert): string {
  const { what, rows, targets, command, needs, page, report, job, run, host, at, times, since } = alert
  const list = (title: string, lines: string[]) =>
    lines.length === 0 ? [] : ['', title, ...lines.map(line => `  ${line}`)]
  return [
    what,
    ...(times > 1 ? [`This is the ${ordinal(times)} time since ${moment(since)}.`] : []),
    ...list('Rows', rows),
    ...list('Target', targets),
    ...list('Type', command === undefined ? [] : [command]),
    ...(needs ? [`  with ${needs.join(', ')} set as for the run`] : []),
    '',
    `job ${job}${run ? `, run ${run}` : ''}, on ${host}, ${moment(at)}`,
    ...(page ? [page] : []),
    ...(report ? [`report ${report}`] : []),
  ].join('\n')
}

/** 1st, 2nd, 3rd, 4th … 11th, 12th, 13th … 21st. */
export function ordinal(count: number): string {
  const teen = count % 100 >= 11 && count % 100 <= 13
  return `${count}${teen ? 'th' : (['th', 'st', 'nd', 'rd'][count % 10] ?? 'th')}`
}

const moment = (iso: string) => `${iso.slice(0, 16).replace('T', ' ')} UTC`
