import { type Mock, mock } from 'node:test'
import { ColumnBuilder } from '../../engine/batch/builder.ts'

/** What `act` gives while each text or binary value moves its column to another buffer, as it does where one grows. */
export function moving<T>(act: () => T): T {
  const { reserve } = ColumnBuilder.prototype
  const moved: Mock<typeof reserve> = mock.method(
    ColumnBuilder.prototype,
    'reserve',
    function (this: ColumnBuilder, row: number, length: number) {
      const start = reserve.call(this, row, length)
      const room = new Uint8Array(this.u8.length)
      room.set(this.u8.subarray(0, start))
      this.u8.fill(0)
      Object.assign(this, { u8: room, words: new DataView(room.buffer) })
      return start
    },
  )
  try {
    return act()
  } finally {
    moved.mock.restore()
  }
}
