import { type StoreFinding, verifyStorage } from '../../engine/storage/index.ts'
import type { Storage } from '../../engine/storage/storage.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
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
      const bad = await examine(context, storage)
      if (broken + bad === 0) return 0
      throw new HoldfastError(
        'HF_VERIFICATION_FAILED',
        `${storage.location}: ${broken} promises are broken, ${bad} things are set up badly`,
      )
    } finally {
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
  try {
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
  } finally {
    await scratch.features.removeLayout?.()
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
async function examine({ output, signal }: CommandContext, storage: Storage): Promise<number> {
  const findings = (await storage.features.examine?.({ signal })) ?? []
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
