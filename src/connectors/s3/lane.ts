import { dropLane } from '../../drops/lane.ts'
import type { S3Access } from '../../stores/s3/sdk.ts'
import { S3Store } from './store.ts'

export const openLane = dropLane((access: S3Access) => new S3Store(access))
