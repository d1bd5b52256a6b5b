import type { Logger } from 'pino'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Mask } from '../../engine/mask.ts'
import type { Metadata } from '../metadata/metadata.ts'
import type { Html } from '../report/markup.ts'
import type { Catalog } from '../service/catalog.ts'
import type { Launcher } from '../service/launch.ts'
import type { Seen } from '../service/serve.ts'
import type { LineageBook } from '../workbench/lineageBook.ts'
import type { Access, Identity } from './access.ts'

/** What pages are made of. */
export interface WebContext {
  seen: Seen
  access: Access
  metadata: Metadata
  catalog: Catalog
  clock: Clock
  launcher: Launcher
  log: Logger
  lineage: LineageBook
  /** What stands for values that nobody is shown. */
  mask: Mask
}

/** What somebody asks a page for. */
export interface Asked {
  who: Identity
  /** Of the path, decoded. */
  params: Record<string, string>
  query: URLSearchParams
}

export interface Page {
  title: string
  main: Html
  /** Changes while it is looked at. */
  isLive?: boolean
}

/** A page of what its path names; undefined where there is none of that name. */
export type PageMaker = (web: WebContext, asked: Asked) => Promise<Page | undefined>

/** Whether somebody may act, not only look. */
export const mayAct = ({ role }: Identity): boolean => role === 'operator'
