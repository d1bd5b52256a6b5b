import { z } from 'zod'
import { CODECS } from '../spec/archive.ts'
import { PACKINGS } from '../stores/packing.ts'
import { isMapping } from '../util/mapping.ts'
import type { Document } from './document.ts'

/** Codecs by use. `archive_files` is another spelling of `archive.compression`, see {@link spelledOut}. */
export const compressionSchema = z
  .strictObject({ staging_files: z.enum(PACKINGS).optional(), archive_files: z.enum(CODECS).optional() })
  .prefault({})

/** The content with `compression.archive_files` where the archive's settings are; what has no meaning is a problem. */
export function spelledOut(document: Document, value: unknown): unknown {
  if (!isMapping(value) || !isMapping(value.compression)) return value
  const { network_transfer: network, ...compression } = value.compression
  if (network !== undefined)
    document.problem(
      ['compression', 'network_transfer'],
      'compression.network_transfer: connections to servers are not compressed; files go over the network as they are kept, by staging_files and archive_files: leave this key out',
      'key',
    )
  const codec = compression.archive_files
  if (codec === undefined) return { ...value, compression }
  const path = ['compression', 'archive_files']
  const refuse = (message: string) => document.problem(path, `compression.archive_files: ${message}`, 'key')
  if (!isMapping(value.archive)) {
    refuse('the job keeps no archive: add archive: { to: FOLDER }, or leave this key out')
    return { ...value, compression }
  }
  if (value.archive.compression !== undefined) refuse('archive.compression says the same: write one of them')
  else document.derive(['archive', 'compression'], path)
  return { ...value, compression, archive: { compression: codec, ...value.archive } }
}
