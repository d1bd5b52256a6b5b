import { z } from 'zod'
import { EngineError } from '../../engine/errors.ts'
import { PACKINGS, type Packing } from '../stores/packing.ts'
import { S3Client } from '../stores/s3/client.ts'
import { s3Access, s3Config } from '../stores/s3/settings.ts'
import { BucketStaging } from '../stores/staging.ts'

/** What STAGING_URL may say behind the `?`, beside the settings of an S3 connection. */
const config = s3Config.extend({
  compression: z.enum(PACKINGS).default('zstd'),
  level: z.int().min(1).max(22).optional(),
})

/**
 * The bucket that STAGING_URL names: `s3://bucket/prefix?region=eu-west-1&compression=zstd&level=1`; undefined where it
 * names none: then staging is in the home folder alone. `ownCodec`: the job's own, which goes before the URL's. Fails with CONFIG_INVALID.
 */
export function openStaging(
  url: string | undefined,
  root: string,
  writer = { run: '', fence: 0 },
  ownCodec?: Packing['codec'],
): BucketStaging | undefined {
  if (!url) return undefined
  const [bucket, query = ''] = url.split('?', 2)
  const settings = [...new URLSearchParams(query)].map(([name, value]) => [name, scalar(value)])
  const parsed = config.safeParse({ url: bucket, ...Object.fromEntries(settings) })
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new EngineError('CONFIG_INVALID', `STAGING_URL: ${issue!.path.join('.')}: ${issue!.message}`, {
      hint: 'It has the form s3://bucket/prefix?region=…&endpoint=…&compression=zstd&level=1.',
    })
  }
  const { compression, level: given } = parsed.data
  const codec = ownCodec ?? compression
  // A level is of the codec beside it.
  const level = codec === compression ? given : undefined
  // docs/compression.md: the next level costs more than the network it saves.
  const own = level ?? (codec === 'zstd' ? 1 : undefined)
  const packing: Packing = { codec, ...(own !== undefined && { level: own }) }
  return new BucketStaging({ client: new S3Client(s3Access(parsed.data, 'staging')), root, packing, writer })
}

const scalar = (value: string) =>
  value === 'true' ? true : value === 'false' ? false : /^\d+$/.test(value) ? Number(value) : value
