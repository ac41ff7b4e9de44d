import { absolutePath, readTargetLists } from '../engine/archive/filter/index.ts'
import { lstat } from '../engine/posix/attributes.ts'
import { type ByteString, byteStringToText } from '../engine/repository/tree/node.ts'
import { HoldfastError, systemErrorCode } from '../lib/errors.ts'
import { argumentBytes } from './argument-bytes.ts'
import type { CommandContext } from './context.ts'
import type { BackupOptions } from './descriptions/backup.ts'
import { readInput } from './standard-input.ts'

/** What is to be backed up and is there. */
export interface Targets {
  /** As given: absolute, or relative to the working directory. */
  readonly targets: readonly ByteString[]
  /** Whether nothing was left out because it is missing. */
  readonly isComplete: boolean
}

/**
 * The paths that lists and arguments name. Those that do not exist are warned about and left out.
 * @throws HoldfastError HF_SOURCE_UNREADABLE when nothing is left, HF_USAGE when there was nothing
 */
export async function existingTargets(
  { output, stdin, signal }: CommandContext,
  options: BackupOptions,
  args: readonly string[],
): Promise<Targets> {
  const warn = (message: string): void => output.warn(message)
  const listed = await readTargetLists({ ...options, stdin: readInput(stdin, signal), warn })
  const given = [...listed, ...args.map((arg) => argumentBytes(arg))]
  if (given.length === 0)
    throw new HoldfastError('HF_USAGE', 'nothing to back up: the lists name nothing', {
      hint: 'give files or folders, or lists that name some',
    })
  const existing = given.filter((path) => {
    try {
      lstat(path)
      return true
    } catch (error) {
      const isMissing = systemErrorCode(error) === 'ENOENT'
      warn(`${Buffer.from(path).toString()} ${isMissing ? 'does not exist' : 'cannot be accessed'}, skipping`)
      return false
    }
  })
  if (existing.length === 0)
    throw new HoldfastError('HF_SOURCE_UNREADABLE', 'all source directories/files do not exist', {
      hint: 'check the paths and the permission to look at them',
    })
  return {
    targets: existing.map((path) => Buffer.from(path).toString('latin1')),
    isComplete: existing.length === given.length,
  }
}

/** The paths as a snapshot lists them. */
export const absolutePaths = (targets: readonly ByteString[]): readonly string[] =>
  targets.map((target) => byteStringToText(absolutePath(target)))
