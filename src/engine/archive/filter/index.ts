/**
 * What is left out of a backup, and what a restore, a rewrite or a search picks: restic's pattern language and filter options.
 *
 * Paths are byte strings (see byte-string.ts), clean and, except for names of extended attributes, absolute.
 */
export { fromByteString, toByteString } from './byte-string.ts'
export { absolutePath } from './clean-path.ts'
export { checkPattern, type PatternSource, patternSources } from './pattern.ts'
export { readPatternFiles } from './pattern-file.ts'
export { createPatternList, type PatternList, type PatternMatch } from './pattern-list.ts'
export {
  createRestoreSelector,
  type RestoreSelection,
  type RestoreSelector,
  type RestoreSelectorOptions,
} from './restore-selector.ts'
export { createSelector, type SelectedAttributes, type Selector, type SelectorOptions } from './selector.ts'
export { readTargetLists, type TargetListOptions } from './target-list.ts'
