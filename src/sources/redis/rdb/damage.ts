import { HoldfastError } from '../../../lib/errors.ts'

/** An RDB file that is not what its format says, noticed at byte `offset` of the file. */
export const damaged = (offset: number, what: string): HoldfastError =>
  new HoldfastError('HF_SOURCE_DAMAGED', `the RDB is damaged at byte ${offset}: ${what}`, {
    hint: 'run it again; if it happens again, look at the log of the Redis server and at its memory and disk',
    context: { offset },
  })

/** An RDB file of a version or with content we cannot read, and thus not vouch for. */
export const unknownFormat = (offset: number, what: string): HoldfastError =>
  new HoldfastError('HF_SOURCE_UNSUPPORTED', `the RDB cannot be read at byte ${offset}: ${what}`, {
    hint: 'RDB versions 5 to 12 of Redis and 80 of Valkey are known; a newer server needs a newer Holdfast',
    context: { offset },
  })
