import { dropLane } from '../../drops/lane.ts'
import type { SftpAccess } from './session.ts'
import { SftpStore } from './store.ts'

export const openLane = dropLane((access: SftpAccess) => new SftpStore(access))
