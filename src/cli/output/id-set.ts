import { type Id, shortId } from '../../lib/id.ts'

/** `{1b3a7f0e 79766175}`: ids in messages as restic prints them. */
export const formatIdSet = (ids: readonly Id[]): string => `{${ids.toSorted().map(shortId).join(' ')}}`
