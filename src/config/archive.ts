import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type ArchiveSpec, CODECS } from '../spec/archive.ts'
import { s3Access, s3Options } from '../stores/s3/settings.ts'
import { secretsIn } from './secrets.ts'

/** The archive's keys in job.yaml. */
export const archiveSchema = (millis: z.ZodType<number>) =>
  z
    .strictObject({
      /** `s3://bucket/prefix`, or a folder: `file:///folder`, or a path from the job's folder. */
      to: z.string().min(1),
      retention: millis.optional(),
      compression: z.enum(CODECS).default('zstd'),
      level: z.int().min(1).max(22).optional(),
      ...s3Options.shape,
    })
    .refine(({ compression, level }) => level === undefined || compression === 'zstd', {
      path: ['level'],
      error: 'expected compression: zstd, the only one with levels',
    })

/** A file or folder of this machine: a `file:` URL, or a path from the job's folder. */
export const pathOf = (text: string, folder: string): string =>
  text.startsWith('file:') ? fileURLToPath(text) : resolve(folder, text)

/** Where the archive is, from what the job says. */
export function readArchive(
  { to, retention, compression, level, ...s3 }: z.output<ReturnType<typeof archiveSchema>>,
  folder: string,
): ArchiveSpec {
  return {
    location: to.startsWith('s3://')
      ? { s3: s3Access({ ...s3, url: to }, 'archive', folder) }
      : { folder: pathOf(to, folder) },
    compression,
    ...(level !== undefined && { level }),
    ...(retention !== undefined && { retention }),
    secrets: secretsIn({ to, ...s3 }),
  }
}
