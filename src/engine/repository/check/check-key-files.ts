import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { decodeConfig } from '../config.ts'
import type { Repository } from '../repository.ts'
import { type Report, reasonOf } from './finding.ts'

/**
 * Reads `config`, all key files and all lock files again. They are small, and damage to one is otherwise noticed by somebody who can no
 * longer open or lock the repository. restic does not look at them here.
 */
export async function checkKeyFiles(repository: Repository, report: Report, signal?: AbortSignal): Promise<void> {
  await checkConfig(repository, report, signal)
  for (const name of await repository.list('key', signal)) {
    const problem = await nameProblem(repository, 'key', name, signal)
    if (problem === undefined) continue
    report({
      kind: 'key-damaged',
      severity: 'error',
      object: { type: 'key', id: name },
      message: `key ${name}: ${problem}`,
      details: [],
      hint: 'its password may not open the repository any more: remove the file with "holdfast key remove" and add a key with "holdfast key add"',
    })
  }
  for (const name of await repository.list('lock', signal)) {
    const problem = await nameProblem(repository, 'lock', name, signal)
    if (problem === undefined) continue
    report({
      kind: 'lock-damaged',
      severity: 'warning',
      object: { type: 'lock', id: name },
      message: `lock ${name}: ${problem}`,
      details: [],
      hint: 'when nobody works on the repository, "holdfast unlock --remove-all" removes it',
    })
  }
}

async function checkConfig(repository: Repository, report: Report, signal: AbortSignal | undefined): Promise<void> {
  try {
    const sealed = await repository.storage.get({ kind: 'config' }, undefined, { signal })
    const json = new Uint8Array(Math.max(0, sealed.length - CRYPTO_OVERHEAD_BYTES))
    repository.cipher.open(sealed, json)
    const { version, id, chunkerPolynomial } = decodeConfig(json)
    const expected = repository.config
    if (version !== expected.version || id !== expected.id || chunkerPolynomial !== expected.chunkerPolynomial)
      throw new HoldfastError('HF_REPO_CONFIG', 'it is the config of another repository')
  } catch (error) {
    if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
    report({
      kind: 'config-damaged',
      severity: 'error',
      object: { type: 'config' },
      message: `config: ${reasonOf(error)}`,
      details: [],
      hint: 'the repository cannot be opened any more: bring the file "config" back from a copy',
    })
  }
}

/** Why a file does not hold what it is named by; undefined when it does or is gone. */
async function nameProblem(
  repository: Repository,
  kind: 'key' | 'lock',
  name: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    const content = await repository.storage.get({ kind, name }, undefined, { signal })
    return sha256Hex(content) === name ? undefined : 'its content does not match its name'
  } catch (error) {
    if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
    // Locks are renewed under new names, keys may be removed: whatever is gone is no damage.
    return isHoldfastError(error, 'HF_STORAGE_NOT_FOUND') ? undefined : reasonOf(error)
  }
}
