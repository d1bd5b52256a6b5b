/**
 * Does something once in so many milliseconds, when it is asked to. What may be costly rests, besides, for `rest` times as
 * long as it took.
 */
export function every(period: number, act: () => Promise<void>, rest = 0) {
  let due = Number.NEGATIVE_INFINITY
  const done = () => {
    due = performance.now() + period
  }
  return {
    done,
    async maybe() {
      const begun = performance.now()
      if (begun < due) return
      done()
      await act()
      const ended = performance.now()
      due = Math.max(due, ended + rest * (ended - begun))
    },
  }
}
