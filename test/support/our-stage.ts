import { initRepository } from '../../src/engine/repository/repository.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { type Outcome, play, type Stage, TypedInput } from './stage.ts'
import { CHEAP_KDF, PASSWORD, scratchFolder } from './test-repository.ts'

/** A scratch folder with an empty repository, and command lines on it, in this process. */
export interface OurStage extends Disposable {
  /** Path of something in the scratch folder. */
  path(...names: readonly string[]): string
  /** Plays a command line whose repository is ours. */
  run(args: readonly string[], parts?: Partial<Stage>): Promise<Outcome>
  /** The same, which has to succeed. */
  must(args: readonly string[], parts?: Partial<Stage>): Promise<string>
  /** The lines of JSON that a command line which has to succeed prints. */
  json<T = Record<string, unknown>>(args: readonly string[], parts?: Partial<Stage>): Promise<readonly T[]>
  /** Backs up one file of a stream; resolves to the id of the snapshot. */
  backUp(name: string, content: string | Uint8Array, ...options: readonly string[]): Promise<string>
}

/** Nobody else uses the repository, so there is no reason to wait and see after a lock was written. */
const quickClock: Clock = {
  now: systemClock.now,
  sleep: (milliseconds, signal) => systemClock.sleep(milliseconds < 1000 ? 0 : milliseconds, signal),
}

export async function ourStage(): Promise<OurStage> {
  const scratch = scratchFolder()
  const repository = await initRepository(
    openLocalStorage(scratch.join('repository')),
    { password: PASSWORD },
    // Files are cut at the same places in every run, so that tests may count packs.
    { key: { kdf: CHEAP_KDF }, chunkerPolynomial: 0x25b468838dcb75n },
  )
  await repository.close()
  const environment = {
    HOLDFAST_REPOSITORY: scratch.join('repository'),
    HOLDFAST_PASSWORD: PASSWORD,
    XDG_CACHE_HOME: scratch.join('cache'),
    TZ: 'UTC',
  }
  const run: OurStage['run'] = (args, { environment: more, ...parts } = {}) =>
    play(args, { environment: { ...environment, ...more }, clock: quickClock, ...parts })
  const must: OurStage['must'] = async (args, parts) => {
    const { exitCode, stdout, stderr } = await run(args, parts)
    if (exitCode !== 0) throw new Error(`${args.join(' ')} ended with ${exitCode}: ${stderr}`)
    return stdout
  }
  const json: OurStage['json'] = async (args, parts) => {
    const lines = (await must([...args, '--json'], parts)).trimEnd().split('\n')
    return lines.map((line) => JSON.parse(line))
  }
  return {
    path: scratch.join,
    run,
    must,
    json,
    async backUp(name, content, ...options) {
      const stdin = new TypedInput()
      stdin.end(content)
      const messages = await json(['backup', '--stdin', '--stdin-filename', name, ...options], { stdin })
      return messages.at(-1)!.snapshot_id as string
    },
    [Symbol.dispose]: () => scratch[Symbol.dispose](),
  }
}
