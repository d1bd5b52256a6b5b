import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { abandonStaged } from '../../engine/runtime/abandon.ts'

test('what a load cannot drop of what it staged is told, and changes nothing of its end', async () => {
  const notes: string[] = []
  const note = (text: string) => void notes.push(text)
  const dropped: string[] = []
  await abandonStaged({ abandon: async loadId => void dropped.push(loadId) }, 'j/r/wh', { note })
  assert.deepEqual([dropped, notes], [['j/r/wh'], []])
  const lost = async () => {
    throw new EngineError('CONNECTION_LOST', 'wh: the server closed the connection')
  }
  await abandonStaged({ abandon: lost }, 'j/r/wh', { note })
  assert.equal(notes.length, 1)
  assert.match(notes[0]!, /j\/r\/wh is not dropped, .*: wh: the server closed the connection$/)
})
