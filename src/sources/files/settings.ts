import { isAbsolute } from 'node:path'
import { z } from 'zod'

/** Keys of a source of type `files`. */
export interface FilesSettings {
  /** Files and folders, absolute. */
  readonly paths: readonly string[]
  /** Patterns of what to leave out, in restic's language. */
  readonly exclude: readonly string[]
  /** The same, whatever the letter case. */
  readonly iexclude: readonly string[]
  /** Folders with a CACHEDIR.TAG are left out, the tag excepted. */
  readonly excludeCaches: boolean
  /** Folders with a file of such a name (`NAME` or `NAME:HEADER`) are left out, the file excepted. */
  readonly excludeIfPresent: readonly string[]
  /** Stay on the file systems of `paths`. */
  readonly oneFileSystem: boolean
}

const absolutePath = z.string().refine((path) => isAbsolute(path) && !path.includes('\0'), {
  message: 'must be an absolute path',
})

export const filesSettings: z.ZodType<FilesSettings> = z.strictObject({
  paths: z.array(absolutePath).min(1),
  exclude: z.array(z.string().min(1)).default([]),
  iexclude: z.array(z.string().min(1)).default([]),
  excludeCaches: z.boolean().default(false),
  excludeIfPresent: z.array(z.string().min(1)).default([]),
  oneFileSystem: z.boolean().default(false),
})
