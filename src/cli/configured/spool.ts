import { tmpdir } from 'node:os'
import type { Environment } from '../environment.ts'

/** Where packs wait that are on their way from one remote repository to others: sealed, and only for a while. */
export const spoolFolder = (environment: Environment): string => environment.HOLDFAST_SPOOL_DIR || tmpdir()
