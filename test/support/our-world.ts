import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initRepository } from '../../src/engine/repository/repository.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { ProgramWorld, type RunOptions } from './program-world.ts'
import { CHEAP_KDF, PASSWORD } from './test-repository.ts'

const program = new URL('../../bin/holdfast', import.meta.url).pathname

/** A world with Holdfast in it, as a process of its own. Its repository opens quickly: how a password becomes a key is tested elsewhere. */
export class OurWorld extends ProgramWorld implements AsyncDisposable {
  override async must(args: readonly string[], options: RunOptions = {}): Promise<string> {
    if (args.length > 1 || args[0] !== 'init') return super.must(args, options)
    const repository = await initRepository(
      openLocalStorage(this.path('repository')),
      { password: PASSWORD },
      { key: { kdf: CHEAP_KDF } },
    )
    await repository.close()
    return ''
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove()
  }
}

/** A new world with its tree of files, without a repository: `await using world = await ourWorld()`. */
export async function ourWorld(): Promise<OurWorld> {
  const world = new OurWorld([program], await mkdtemp(join(tmpdir(), 'holdfast-golden-')))
  await world.prepare()
  return world
}
