import { list, type OptionTable } from './option.ts'
import { fileKind, textKind } from './values.ts'

export interface ExcludeOptions {
  readonly excludes: readonly string[]
  readonly insensitiveExcludes: readonly string[]
  readonly excludeFiles: readonly string[]
  readonly insensitiveExcludeFiles: readonly string[]
}

export const excludeOptions: OptionTable<ExcludeOptions> = {
  excludes: list('exclude', textKind('pattern'), 'leave out what matches this pattern (repeatable)', { short: 'e' }),
  insensitiveExcludes: list('iexclude', textKind('pattern'), 'the same, upper and lower case being equal (repeatable)'),
  excludeFiles: list('exclude-file', fileKind, 'leave out what matches a pattern in this file (repeatable)'),
  insensitiveExcludeFiles: list('iexclude-file', fileKind, 'the same, upper and lower case being equal (repeatable)'),
}

export interface IncludeOptions {
  readonly includes: readonly string[]
  readonly insensitiveIncludes: readonly string[]
  readonly includeFiles: readonly string[]
  readonly insensitiveIncludeFiles: readonly string[]
}

export const includeOptions: OptionTable<IncludeOptions> = {
  includes: list('include', textKind('pattern'), 'take only what matches this pattern (repeatable)', { short: 'i' }),
  insensitiveIncludes: list('iinclude', textKind('pattern'), 'the same, upper and lower case being equal (repeatable)'),
  includeFiles: list('include-file', fileKind, 'take only what matches a pattern in this file (repeatable)'),
  insensitiveIncludeFiles: list('iinclude-file', fileKind, 'the same, upper and lower case being equal (repeatable)'),
}
