import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { checkPattern } from '../../engine/archive/filter/pattern.ts'

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

/** A pattern in restic's language. */
export const pathPattern: z.ZodType<string> = z
  .string()
  .min(1)
  .superRefine((pattern, context) => {
    try {
      checkPattern(pattern)
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message, input: pattern })
    }
  })

type KeysOf<Settings> = { readonly [Key in keyof Settings]: z.ZodType<Settings[Key]> }

/** What every source of files of this machine is told: which, and what to leave out. */
export const pathKeys: KeysOf<Pick<FilesSettings, 'paths' | 'exclude' | 'iexclude'>> = {
  paths: z.array(absolutePath).min(1),
  exclude: z.array(pathPattern).default([]),
  iexclude: z.array(pathPattern).default([]),
}

/** The keys of `files`, for sorts of sources that have more. */
export const filesKeys: KeysOf<FilesSettings> = {
  ...pathKeys,
  excludeCaches: z.boolean().default(false),
  excludeIfPresent: z.array(z.string().min(1)).default([]),
  oneFileSystem: z.boolean().default(false),
}

export const filesSettings: z.ZodType<FilesSettings> = z.strictObject(filesKeys)
