import type { Diagnosis } from '../declare/define.ts'

/** Clocks that differ by more make ages and limits untrue. */
const MAX_DIFFERENCE_MS = 5000

/** What is to be said of a server's clock. */
export function clockDiagnosis(millis: number, now = Date.now()): Diagnosis {
  const difference = millis - now
  const seconds = `${Math.abs(Math.round(difference / 100) / 10)} s`
  if (Math.abs(difference) <= MAX_DIFFERENCE_MS)
    return { ok: true, what: "the server's clock is this machine's" }
  return {
    ok: false,
    what: `the server's clock is ${seconds} ${difference > 0 ? 'ahead of' : 'behind'} this machine's`,
    fix: 'sudo timedatectl set-ntp true   # on the machine that is wrong',
  }
}
