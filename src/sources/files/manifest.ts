import { z } from 'zod'

/** `/.holdfast/<source>/manifest.json` of a snapshot of files: what it is of. The files lie at their real paths. */
export interface FilesManifest {
  readonly format: 1
  readonly source: string
  readonly type: 'files'
  readonly paths: readonly string[]
  readonly exclude: readonly string[]
  readonly iexclude: readonly string[]
  /** Of `paths`, those that were not there. */
  readonly missing: readonly string[]
  /** RFC 3339. */
  readonly started: string
}

export const filesManifest: z.ZodType<FilesManifest> = z.strictObject({
  format: z.literal(1),
  source: z.string(),
  type: z.literal('files'),
  paths: z.array(z.string()),
  exclude: z.array(z.string()),
  iexclude: z.array(z.string()),
  missing: z.array(z.string()),
  started: z.string(),
})
