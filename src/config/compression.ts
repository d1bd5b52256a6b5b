import { z } from 'zod'
import { CODECS } from '../spec/archive.ts'
import { NETWORK_CODECS } from '../spec/network.ts'
import { PACKINGS } from '../stores/packing.ts'
import { isMapping } from '../util/mapping.ts'
import type { Document } from './document.ts'

/** Codecs by use. `archive_files` is another spelling of `archive.compression`, see {@link spelledOut}. */
export const compressionSchema = z
  .strictObject({
    staging_files: z.enum(PACKINGS).optional(),
    archive_files: z.enum(CODECS).optional(),
    network_transfer: z.enum(['none', ...NETWORK_CODECS]).optional(),
  })
  .prefault({})

/** The content with `compression.archive_files` where the archive's settings are; what has no meaning is a problem. */
export function spelledOut(document: Document, value: unknown): unknown {
  if (!isMapping(value) || !isMapping(value.compression)) return value
  const { compression } = value
  const codec = compression.archive_files
  if (codec === undefined) return value
  const path = ['compression', 'archive_files']
  const refuse = (message: string) => document.problem(path, `compression.archive_files: ${message}`, 'key')
  if (!isMapping(value.archive)) {
    refuse('the job keeps no archive: add archive: { to: FOLDER }, or leave this key out')
    return value
  }
  if (value.archive.compression !== undefined) refuse('archive.compression says the same: write one of them')
  else document.derive(['archive', 'compression'], path)
  return { ...value, archive: { compression: codec, ...value.archive } }
}
