import { dropLane } from '../../drops/lane.ts'
import { type LocalAccess, LocalStore } from './store.ts'

export const openLane = dropLane((access: LocalAccess) => new LocalStore(access))
