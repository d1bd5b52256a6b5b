import { BucketStore } from './bucket.ts'
import { FolderStore } from './folder.ts'
import type { S3Access } from './s3/sdk.ts'
import type { FileStore } from './store.ts'

/** Where a store is: plain data, so that a lane can open it too. `folder` is absolute. */
export type StoreLocation = { folder: string } | { s3: S3Access }

export function openStore(location: StoreLocation): FileStore {
  return 'folder' in location ? new FolderStore(location.folder) : new BucketStore(location.s3)
}
