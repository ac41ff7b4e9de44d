import { z } from 'zod'

/** The sorts of sources whose snapshots hold files at their real paths. */
export const fileSourceTypes = ['files', 'config', 'logs'] as const
export type FileSourceType = (typeof fileSourceTypes)[number]

/** `/.holdfast/<source>/manifest.json` of a snapshot of files: what it is of. The files lie at their real paths. */
export interface FilesManifest {
  readonly format: 1
  readonly source: string
  readonly type: FileSourceType
  readonly paths: readonly string[]
  readonly exclude: readonly string[]
  readonly iexclude: readonly string[]
  /** Of `paths`, those that were not there. */
  readonly missing: readonly string[]
  /** Patterns of files whose names are not to be told. */
  readonly secrets: readonly string[]
  /** RFC 3339: of logs, only what was written since then; null for everything. */
  readonly since: string | null
  /** RFC 3339. */
  readonly started: string
}

export const filesManifest: z.ZodType<FilesManifest> = z.strictObject({
  format: z.literal(1),
  source: z.string(),
  type: z.enum(fileSourceTypes),
  paths: z.array(z.string()),
  exclude: z.array(z.string()),
  iexclude: z.array(z.string()),
  missing: z.array(z.string()),
  secrets: z.array(z.string()).default([]),
  since: z.string().nullable().default(null),
  started: z.string(),
})

/** The folder of the root that holds no files of the machine. */
export const MANIFEST_FOLDER = '.holdfast'

/** Where the manifest lies in a snapshot of `source`. */
export const manifestPath = (source: string): string => `/${MANIFEST_FOLDER}/${source}/manifest.json`
