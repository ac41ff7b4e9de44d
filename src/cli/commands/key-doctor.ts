import { type KeyExamination, type KeyFileAge, keyFileAges } from '../../engine/keys/examine-keys.ts'
import { openRepository } from '../../engine/repository/repository.ts'
import type { Storage } from '../../engine/storage/storage.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { mainAccess, type ResolvedAccess } from '../access.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type KeyDoctorOptions, keyDoctorDescription } from '../descriptions/key-doctor.ts'
import type { Output } from '../output/output.ts'
import { openStorageAt, resolveRepository } from '../repository-session.ts'

/** What is said about a key, or about the password of the configuration. */
interface Finding {
  readonly key: string
  readonly state: 'works' | 'sealed only' | 'fails'
  readonly error?: string
  readonly hint?: string | undefined
}

const DEFAULT_MAX_AGE_DAYS = 90

export const keyDoctorCommand: Command<KeyDoctorOptions> = {
  ...keyDoctorDescription,
  async run(context, options) {
    const { findAllConfigured } = await import('../configured/named-repository.ts')
    const all = await findAllConfigured(context, mainAccess(context.global))
    if (all === undefined) {
      judge(await examineRepository(context, options, await resolveRepository(context)))
      return 0
    }
    const failures = new Map<string, HoldfastError>()
    for (const [name, access] of all)
      try {
        if (!context.output.json) context.output.print(`repository ${name}`)
        judge(await examineRepository(context, options, await resolveRepository(context, access()), name))
      } catch (error) {
        if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
        failures.set(name, error)
        const hint = error.hint === undefined ? '' : `\n  ${error.hint}`
        context.output.warn(`repository ${name}: ${error.message}${hint}`)
      }
    if (failures.size > 0) throw worst(failures, all.size)
    return 0
  },
}

interface Examined {
  readonly findings: readonly Finding[]
  readonly tooOld: readonly KeyFileAge[]
  readonly maxAgeDays: number
}

/** Tries the keys of one repository and shows what came of it. @throws HoldfastError HF_REPO_NOT_FOUND, of the store */
async function examineRepository(
  context: CommandContext,
  options: KeyDoctorOptions,
  access: ResolvedAccess,
  name?: string,
): Promise<Examined> {
  const { output, clock, signal } = context
  const storage = await openStorageAt(context, access)
  try {
    await storage.stat({ kind: 'config' }, { signal })
    const findings = await examine(context, access, storage)
    const maxAgeDays = options.maxAgeDays ?? access.keys?.maxAgeDays ?? DEFAULT_MAX_AGE_DAYS
    const ages = await keyFileAges(storage, clock.now(), signal)
    if (output.json)
      output.message({
        message_type: 'key_examination',
        repository: name,
        keys: findings,
        key_files: ages.map(ageJson),
        max_age_days: maxAgeDays,
      })
    else print(output, findings, ages, maxAgeDays)
    return {
      findings,
      maxAgeDays,
      tooOld: ages.filter(({ ageDays, kit }) => ageDays > maxAgeDays && kit === undefined),
    }
  } catch (error) {
    if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    throw new HoldfastError('HF_REPO_NOT_FOUND', `there is no repository at ${storage.location}`, { cause: error })
  } finally {
    await storage.close()
  }
}

/** What a run over several repositories ends with: a key that cannot be used is worse than a repository that is away, and both than age. */
function worst(failures: ReadonlyMap<string, HoldfastError>, all: number): HoldfastError {
  const errors = [...failures.values()]
  const { code } =
    errors.find((error) => error.code === 'HF_KEY_UNAVAILABLE') ??
    errors.find((error) => error.code !== 'HF_KEY_OLD') ??
    errors[0]!
  const names = [...failures.keys()].join(', ')
  return new HoldfastError(code, `${failures.size} of ${all} repositories have keys that need care: ${names}`)
}

/** Tries the keys and, where the configuration names one beside them, the password. */
async function examine(
  { signal }: CommandContext,
  { keys, password }: ResolvedAccess,
  storage: Storage,
): Promise<readonly Finding[]> {
  if (keys === undefined) return []
  const { examineKeys } = await import('../../engine/keys/examine-keys.ts')
  const findings = (await examineKeys(storage, await keys.load(), signal)).map(findingOf)
  if (password?.kind !== 'secret') return findings
  const read = password.read
  const finding = await openRepositoryBy(storage, read, signal).then(
    (): Finding => ({ key: 'password', state: 'works' }),
    (error: unknown): Finding => {
      if (!isHoldfastError(error, 'HF_KEY_WRONG_PASSWORD', 'HF_KEY_INVALID', 'HF_SECRET_UNAVAILABLE')) throw error
      return { key: 'password', state: 'fails', error: error.message, hint: error.hint }
    },
  )
  return [...findings, finding]
}

const openRepositoryBy = async (storage: Storage, read: () => Promise<string>, signal: AbortSignal): Promise<unknown> =>
  openRepository(storage, { password: await read() }, { signal })

function findingOf({ key, opens, error }: KeyExamination): Finding {
  if (error !== undefined) return { key: key.title, state: 'fails', error: error.message, hint: error.hint }
  return { key: key.title, state: opens === undefined ? 'sealed only' : 'works' }
}

const ageJson = ({ id, ageDays, sealedFor, kit }: KeyFileAge): object => ({
  id,
  age_days: ageDays,
  sealed_for: sealedFor,
  kit,
})

function print(output: Output, findings: readonly Finding[], ages: readonly KeyFileAge[], maxAgeDays: number): void {
  for (const { key, state, error, hint } of findings)
    output.print(
      state === 'fails'
        ? `fails        ${error}${hint === undefined ? '' : `\n             ${hint}`}`
        : `${state.padEnd(12)} ${key}`,
    )
  for (const { id, ageDays, sealedFor, kit } of ages) {
    const use =
      kit !== undefined
        ? `recovery kit ${kit}`
        : sealedFor.length > 0
          ? `sealed for ${sealedFor.join(', ')}`
          : 'password'
    const isOld = ageDays > maxAgeDays && kit === undefined
    output.print(`key ${shortId(id)} ${ageDays} days old${isOld ? `, more than ${maxAgeDays}` : ''} (${use})`)
  }
}

/** @throws HoldfastError HF_KEY_UNAVAILABLE, HF_KEY_OLD */
function judge({ findings, tooOld, maxAgeDays }: Examined): void {
  const failing = findings.filter(({ state }) => state === 'fails')
  const working = findings.filter(({ state }) => state === 'works').map(({ key }) => key)
  if (failing.length > 0)
    throw new HoldfastError(
      'HF_KEY_UNAVAILABLE',
      `${failing.length} of ${findings.length} keys cannot be used: ${failing.map(({ key }) => key).join(', ')}`,
      {
        hint:
          working.length === 0
            ? 'no key opens the repository: bring one back, or use a recovery kit with "holdfast key import"'
            : `what still opens the repository: ${working.join(', ')}`,
      },
    )
  if (tooOld.length > 0)
    throw new HoldfastError('HF_KEY_OLD', `${tooOld.length} keys are older than ${maxAgeDays} days`, {
      hint: 'run: holdfast key rotate',
      context: { oldest: tooOld[0]!.id, days: tooOld[0]!.ageDays },
    })
}
