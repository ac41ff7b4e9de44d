import type { Id } from '../../lib/id.ts'

/** What opens a repository. */
export interface Credentials {
  readonly password: string
  /** Try this key file first (a prefix of its id is enough). */
  readonly keyHint?: Id | undefined
}
