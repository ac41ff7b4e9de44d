import { accessSync, constants } from 'node:fs'
import { lstat } from '../../engine/posix/attributes.ts'
import { missingFeatures } from '../../engine/posix/missing-features.ts'
import type { ByteString } from '../../engine/repository/tree/node.ts'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'
import type { SourceFacts, SourceProblem } from '../source.ts'
import type { SecretNames } from './secret-names.ts'

/** The paths of a source as they are found. */
export interface FoundPaths {
  readonly present: readonly string[]
  readonly absent: readonly AbsentPath[]
}

interface AbsentPath {
  readonly path: string
  readonly error: Error
}

/** Looks which paths are there. */
export function findPaths(paths: readonly string[]): FoundPaths {
  const present: string[] = []
  const absent: AbsentPath[] = []
  for (const path of paths) {
    try {
      lstat(Buffer.from(path))
      present.push(path)
    } catch (error) {
      absent.push({ path, error: error as Error })
    }
  }
  return { present, absent }
}

/**
 * The paths there are, when there is one at least and nothing that is required is missing.
 * @throws HoldfastError HF_SOURCE_UNREADABLE, HF_REQUIRED_MISSING
 */
export function requirePaths(
  source: string,
  paths: readonly string[],
  required: readonly string[],
  secrets: SecretNames,
): FoundPaths {
  const found = findPaths(paths)
  if (found.present.length === 0)
    throw new HoldfastError('HF_SOURCE_UNREADABLE', `none of the paths of source ${source} can be read`, {
      hint: found.absent.map((one) => whyAbsent(one, secrets)).join('; '),
    })
  const missing = findPaths(required).absent.map(({ path }) => secrets.show(path))
  if (missing.length > 0)
    throw new HoldfastError(
      'HF_REQUIRED_MISSING',
      `source ${source} requires what is not there: ${missing.join(', ')}`,
      {
        hint: 'bring back what is missing, or change "require" in the configuration',
      },
    )
  return found
}

/** Facts of a test: what of the paths is there. */
export const factsOf = (paths: readonly string[], { present }: FoundPaths): SourceFacts => ({
  version: `${process.platform} ${process.arch}`,
  facts: { paths: `${present.length} of ${paths.length} there` },
})

/** What is wrong with the paths, and with this machine as far as files go. */
export function pathProblems({ absent }: FoundPaths, secrets: SecretNames): SourceProblem[] {
  const problems: SourceProblem[] = absent.map((one) => ({
    severity: 'error',
    what: whyAbsent(one, secrets),
    remedy:
      systemErrorCode(one.error) === 'ENOENT' && !secrets.isSecret(one.path)
        ? `mkdir -p ${shellWord(one.path)}`
        : undefined,
  }))
  for (const feature of missingFeatures())
    problems.push({ severity: 'warning', what: `without native calls: ${feature}`, remedy: 'npm install koffi' })
  return problems
}

function whyAbsent({ path, error }: AbsentPath, secrets: SecretNames): string {
  const why =
    systemErrorCode(error) === 'ENOENT'
      ? 'does not exist'
      : `cannot be looked at: ${secrets.conceal(path, error).message}`
  return `${secrets.show(path)} ${why}`
}

/** Whether this user may read the file or list the folder. */
export function isReadable(path: ByteString): boolean {
  try {
    accessSync(Buffer.from(path, 'latin1'), constants.R_OK)
    return true
  } catch {
    return false
  }
}

/** A word as a shell reads it, for commands that people paste. */
export const shellWord = (text: string): string =>
  /^[\w./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
