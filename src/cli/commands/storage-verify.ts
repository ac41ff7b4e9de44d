import { sha256Hex } from '../../engine/kernels/sha256.ts'
import { type StoreFinding, verifyStorage } from '../../engine/storage/index.ts'
import type { Storage } from '../../engine/storage/storage.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { randomBytes } from '../../lib/random.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type StorageVerifyOptions, storageVerifyDescription } from '../descriptions/storage.ts'
import { findStore } from '../named-store.ts'
import { quoteUnprintable } from '../output/width.ts'

export const storageVerifyCommand: Command<StorageVerifyOptions> = {
  ...storageVerifyDescription,
  async run(context, options, [place]) {
    const store = await findStore(context, place)
    const storage = await store.open()
    const scratch = await store.openScratch('verify')
    try {
      context.output.print(storage.location)
      const broken = await runContract(context, scratch, options)
      const bad = await examine(context, storage, scratch)
      if (broken + bad === 0) return 0
      throw new HoldfastError(
        'HF_VERIFICATION_FAILED',
        `${storage.location}: ${broken} promises are broken, ${bad} things are set up badly`,
      )
    } finally {
      await scratch.features.removeLayout?.()
      await scratch.close()
      await storage.close()
    }
  },
}

/** The number of checks that failed. */
async function runContract(
  { output, signal }: CommandContext,
  scratch: Storage,
  { objects, largeBytes }: StorageVerifyOptions,
): Promise<number> {
  let broken = 0
  for await (const { name, durationMs, error } of verifyStorage(scratch, {
    listedFiles: objects,
    largeFileBytes: Math.max(1024, largeBytes),
  })) {
    if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
    if (error !== undefined) broken += 1
    const outcome = error === undefined ? 'passed' : 'failed'
    const detail = error instanceof Error ? error.message : undefined
    if (output.json)
      output.message({ message_type: 'check', name, outcome, detail, duration_ms: Math.round(durationMs) })
    else if (error === undefined) output.print(`  passed   ${name}`)
    else output.warn(`  FAILED   ${name}: ${quoteUnprintable(detail ?? String(error))}`)
    signal.throwIfAborted()
  }
  return broken
}

const words: Readonly<Record<StoreFinding['state'], string>> = {
  good: 'good   ',
  bad: 'BAD    ',
  unknown: 'unknown',
  note: 'note   ',
}

/** The number of things that are set up badly. */
async function examine({ output, signal }: CommandContext, storage: Storage, scratch: Storage): Promise<number> {
  const findings = [
    ...((await storage.features.examine?.({ signal })) ?? []),
    ...(await tryAsStranger(scratch, signal)),
  ]
  for (const { what, state, text, remedy } of findings) {
    if (output.json) {
      output.message({ message_type: 'finding', what, state, text, remedy })
      continue
    }
    const more = remedy === undefined || state === 'good' ? '' : `\n           ${quoteUnprintable(remedy)}`
    output[state === 'bad' ? 'warn' : 'print'](`  ${words[state]}  ${what}: ${quoteUnprintable(text)}${more}`)
  }
  return findings.filter(({ state }) => state === 'bad').length
}

/** Reads a file without credentials: a policy may let strangers read files and not list them, which shows only where there is a file. */
async function tryAsStranger(scratch: Storage, signal: AbortSignal): Promise<readonly StoreFinding[]> {
  const { isPublic } = scratch.features
  if (isPublic === undefined) return []
  const content = randomBytes(32)
  const file = { kind: 'key', name: sha256Hex(content) } as const
  try {
    await scratch.put(file, content, { signal })
    try {
      if (!(await isPublic(file, { signal })))
        return [{ what: 'access', state: 'good', text: 'a file written here cannot be read without credentials' }]
    } finally {
      await scratch.delete(file)
    }
  } catch (error) {
    if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
    return [{ what: 'access', state: 'unknown', text: error.message }]
  }
  const remedy = 'Take public access away in the policy and the access list of the bucket.'
  return [{ what: 'access', state: 'bad', text: 'anybody can read a file written here', remedy }]
}
