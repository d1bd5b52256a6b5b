import type { Socket } from 'node:net'
import { EngineError } from '../../../engine/errors.ts'

/**
 * What `act` gives. Where nothing comes over its connection for so many milliseconds, `end` is called, which must end
 * `act`, and it fails with TIMEOUT.
 */
export async function unlessSilent<T>(
  socket: Socket,
  millis: number,
  where: string,
  act: () => Promise<T>,
  end: () => void,
): Promise<T> {
  let isSilent = false
  const onTimeout = () => {
    isSilent = true
    end()
  }
  socket.setTimeout(millis).once('timeout', onTimeout)
  try {
    return await act()
  } catch (cause) {
    if (!isSilent) throw cause
    throw new EngineError('TIMEOUT', `${where}: the server sent nothing for ${Math.round(millis / 1000)} s`, {
      cause,
      hint: 'timeouts: { silence: … } of job.yaml says how long a source may be silent.',
    })
  } finally {
    socket.setTimeout(0).off('timeout', onTimeout)
  }
}
